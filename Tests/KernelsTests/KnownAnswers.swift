import Checkpoints
import Formats
import Kernels

/// The known answers of fixtures/codecs.
struct KnownAnswers {
    private let checkpoint: Checkpoint

    init(_ name: String) throws { checkpoint = try Checkpoint.open(name) }

    /// The bytes of a tensor.
    func bytes(_ name: String) throws -> [UInt8] {
        guard let tensor = checkpoint.tensor(named: name) else { return [] }
        return try tensor.withBytes(rows: 0..<tensor.rowCount) { [UInt8]($0) }
    }

    /// The values of a tensor of F32.
    func floats(_ name: String) throws -> [Float] {
        try bytes(name).withUnsafeBytes { bytes in
            (0..<bytes.count / 4).map {
                Float(bitPattern: bytes.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self))
            }
        }
    }
}

/// Decodes to an array.
func decoded(_ dtype: DType, _ bytes: [UInt8], count: Int, by instructions: InstructionSet = .best) -> [Float] {
    [Float](unsafeUninitializedCapacity: count) { buffer, filled in
        bytes.withUnsafeBytes {
            if let base = buffer.baseAddress { Codec.decode(dtype, $0, count: count, into: base, by: instructions) }
        }
        filled = count
    }
}

/// Encodes to an array; one row, unless its length is given.
func encoded(
    _ dtype: DType, _ values: [Float], rowLength: Int? = nil, importance: [Float]? = nil,
    by instructions: InstructionSet = .best
) -> [UInt8] {
    let byteCount = dtype.byteCount(of: values.count) ?? 0
    let rowLength = rowLength ?? values.count
    return [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, filled in
        let output = UnsafeMutableRawBufferPointer(buffer)
        let rows = rowLength > 0 ? values.count / rowLength : 0
        if let importance {
            precondition(importance.count == rowLength)
            Codec.encode(
                dtype, values, rows: rows, rowLength: rowLength, importance: importance, into: output, by: instructions)
        } else {
            Codec.encode(dtype, values, rows: rows, rowLength: rowLength, into: output, by: instructions)
        }
        filled = byteCount
    }
}

/// The bits of some floats, so that NaN equals itself and -0 is not 0.
func bits(_ values: [Float]) -> [UInt32] { values.map(\.bitPattern) }

extension DType {
    /// The types that are decoded.
    static var decoded: [DType] { all.filter(Codec.decodes) }
    /// The types that are encoded.
    static var encoded: [DType] { all.filter(Codec.encodes) }
    /// The types whose blocks have scales, among those that are encoded.
    static var quantized: [DType] { encoded.filter(\.isQuantized) }
}
