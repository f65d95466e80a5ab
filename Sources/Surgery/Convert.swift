public import Checkpoints
public import Formats

/// Moves a checkpoint between HF folders, single safetensors files and GGUF: names, row orders, configuration, vocabulary.
public struct Convert: Edit {
    /// The form of the result.
    public let form: Checkpoint.Form
    /// The type of the weights; `nil` keeps them, or takes BF16 where the form cannot hold them.
    public let dtype: DType?
    /// Whether weights of a folder whose codes and scales GGUF has blocks for, NVFP4 and MXFP4, become these. Who goes on
    /// computing wants values.
    public let keepsBlocks: Bool
    /// Whether finite values may become infinite in the type.
    public let allowsNonfinite: Bool

    /// A conversion.
    public init(
        to form: Checkpoint.Form, dtype: DType? = nil, keepsBlocks: Bool = false, allowsNonfinite: Bool = false
    ) {
        self.form = form
        self.dtype = dtype
        self.keepsBlocks = keepsBlocks
        self.allowsNonfinite = allowsNonfinite
    }

    /// The conversion that goes before a quantization: on the way to GGUF values are shown in f32, so that none is rounded twice.
    public static func beforeQuantization(of checkpoint: Checkpoint, to form: Checkpoint.Form) -> Convert {
        Convert(to: form, dtype: checkpoint.form == .folder && form == .gguf ? .f32 : nil)
    }

    /// The checkpoint in the other form.
    public func apply(to checkpoint: Checkpoint) throws(CheckpointError) -> Checkpoint {
        try checkpoint.requireModel(allowsProjector: form == .gguf)
        if checkpoint.form == .safetensors, form != .safetensors {
            throw CheckpointError(
                file: checkpoint.path, "has no configuration beside its tensors",
                hint: "name the HF folder that it lies in")
        }
        let original = checkpoint
        var checkpoint = checkpoint
        // Packed parts stay as they are where the form stays, and blocks in a GGUF file; a plain type is of plain weights.
        if dtype != nil || (checkpoint.form == .gguf) != (form == .gguf) {
            checkpoint = try DequantizeFolder(to: dtype ?? (form == .gguf ? nil : .f32)).apply(to: checkpoint)
        }
        var result = checkpoint
        var dtype = dtype
        switch (checkpoint.form, form) {
        case (.folder, .folder), (.safetensors, _), (.gguf, .gguf): break
        case (.folder, .safetensors):
            guard try checkpoint.explainsItself() else {
                throw CheckpointError(
                    file: checkpoint.path,
                    "has packed weights, and a single safetensors file cannot hold the settings that explain them",
                    hint: "name a folder as the output, or say --dtype bf16 for plain weights")
            }
            result.container = .safetensors(header: checkpoint.headerMetadata)
        case (.folder, .gguf):
            result = try ConvertToGGUF(checkpoint).result()
            result.layerPrefix = nil
            if dtype == nil, keepsBlocks { return try result.withExactBlocks(else: Convert.commonType(checkpoint)) }
            dtype = dtype ?? Convert.commonType(checkpoint)
        case (.gguf, .folder), (.gguf, .safetensors):
            dtype = dtype ?? Convert.commonType(original)
            result = try ConvertToFolder(checkpoint, form: form).result()
            result.layerPrefix = nil
        }
        guard let dtype else { return result }
        return try Cast(to: dtype, allowsNonfinite: allowsNonfinite).apply(to: result)
    }

    /// The plain type that most weights have; BF16 where they are quantized.
    private static func commonType(_ checkpoint: Checkpoint) -> DType {
        var counts: [DType: Int] = [:]
        for tensor in checkpoint.tensors where tensor.shape.count >= 2 {
            counts[tensor.dtype, default: 0] += tensor.count
        }
        let most = counts.max { ($0.value, $1.key.name) < ($1.value, $0.key.name) }?.key
        return most.flatMap { [.f32, .f16, .bf16].contains($0) ? $0 : nil } ?? .bf16
    }

    /// The description of an architecture that names can be translated for.
    static func architecture(of checkpoint: Checkpoint) throws(CheckpointError) -> Architecture {
        guard let architecture = checkpoint.architecture else {
            throw checkpoint.unknownArchitecture("so its tensors cannot be renamed")
        }
        return architecture
    }
}
