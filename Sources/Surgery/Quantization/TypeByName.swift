public import Checkpoints
public import Formats
internal import Kernels

/// A type for tensors whose names match a pattern: `--tensor-type`.
public struct TypeByName: Sendable {
    /// The pattern.
    public let pattern: NamePattern
    /// The type.
    public let dtype: DType

    /// Parses `PATTERN=TYPE`.
    ///
    /// - Throws: when the pattern is invalid, or resect cannot encode the type.
    public init(_ text: String) throws(CheckpointError) {
        guard let sign = text.utf8.firstIndex(of: UInt8(ascii: "=")) else {
            throw CheckpointError(
                "'\(text)' has no type", hint: "write PATTERN=TYPE, for example ffn_down=Q6_K")
        }
        do throws(NamePatternError) {
            pattern = try NamePattern(String(text[..<sign]))
        } catch {
            throw CheckpointError(
                "the pattern '\(text[..<sign])' \(error.problem)",
                hint:
                    "it may contain . [a-z] \\d \\w \\s ^ $ ( ) | * + ? {m,n}, and a backslash before any other symbol")
        }
        dtype = try Quantize.encodedType(named: String(text[text.index(after: sign)...]))
    }
}

extension Quantize {
    /// The type with this name, ignoring case.
    ///
    /// - Throws: an error with the names of all types that resect can encode.
    public static func encodedType(named name: String) throws(CheckpointError) -> DType {
        guard let dtype = DType(named: name), Codec.encodes(dtype) else {
            let types = DType.all.filter(Codec.encodes).map(\.name)
            let near = NearName.of(name, in: types).map { "did you mean \($0)? " } ?? ""
            throw CheckpointError(
                DType(named: name).map { "the type \($0) cannot be encoded" } ?? "the type '\(name)' is not known",
                hint: near + "types of a tensor: " + types.joined(separator: " "))
        }
        return dtype
    }
}
