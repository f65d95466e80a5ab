public import Checkpoints
public import Formats
internal import Kernels

/// A type for the tensors in whose names a pattern is found: what `--tensor-type` names.
public struct TypeByName: Sendable {
    /// The pattern.
    public let pattern: NamePattern
    /// The type.
    public let dtype: DType

    /// A type for some of the tensors, from `PATTERN=TYPE`.
    ///
    /// - Throws: when the pattern is not understood, or nothing encodes the type.
    public init(_ text: String) throws(CheckpointError) {
        guard let sign = text.utf8.firstIndex(of: UInt8(ascii: "=")) else {
            throw CheckpointError(
                "'\(text)' gives no type", hint: "a type by name is written PATTERN=TYPE: ffn_down=Q6_K")
        }
        do throws(NamePatternError) {
            pattern = try NamePattern(String(text[..<sign]))
        } catch {
            throw CheckpointError(
                "the pattern '\(text[..<sign])' \(error.problem)",
                hint: "it may hold . [a-z] \\d \\w \\s ^ $ ( ) | * + ? {m,n}, and a backslash before any other sign")
        }
        dtype = try Quantize.encodedType(named: String(text[text.index(after: sign)...]))
    }
}

extension Quantize {
    /// The type of that name, in any case.
    ///
    /// - Throws: with the names of the types that weights can be encoded in.
    public static func encodedType(named name: String) throws(CheckpointError) -> DType {
        guard let dtype = DType(named: name), Codec.encodes(dtype) else {
            let types = DType.all.filter(Codec.encodes).map(\.name).joined(separator: " ")
            throw CheckpointError(
                DType(named: name).map { "the type \($0) cannot be encoded" } ?? "the type '\(name)' is not known",
                hint: "types of a tensor: " + types)
        }
        return dtype
    }
}
