internal import ArgumentParser
internal import Checkpoints
internal import Formats
internal import Kernels
internal import Surgery

/// A type that weights are quantized to: one of llama-quantize, or one of a folder.
struct WeightType: ExpressibleByArgument {
    /// The name, as resect writes it.
    let name: String
    /// The type of a folder; `nil` for one of llama-quantize.
    let folder: FolderType?

    init?(argument: String) {
        folder = FolderType(named: argument)
        guard let name = folder?.rawValue ?? Mixture.named(argument)?.name else { return nil }
        self.name = name
    }

    static var allValueStrings: [String] { Mixture.all.map(\.name) + FolderType.allCases.map(\.rawValue) }
    static var defaultCompletionKind: CompletionKind { .list(allValueStrings) }
}

/// A floating-point type of whole weights.
struct FloatType: ExpressibleByArgument {
    let dtype: DType

    init?(argument: String) {
        guard let found = DType(named: argument), FloatType.all.contains(found) else { return nil }
        dtype = found
    }

    private static let all: [DType] = [.f32, .f16, .bf16]
    static var allValueStrings: [String] { all.map { $0.name.lowercased() } }
    static var defaultCompletionKind: CompletionKind { .list(allValueStrings) }
}

/// A type of a single tensor in a GGUF file.
struct EncodedType: ExpressibleByArgument {
    let dtype: DType

    init?(argument: String) {
        guard let found = DType(named: argument), Codec.encodes(found) else { return nil }
        dtype = found
    }

    static var allValueStrings: [String] { DType.all.filter(Codec.encodes).map(\.name) }
    static var defaultCompletionKind: CompletionKind { .list(allValueStrings) }
}
