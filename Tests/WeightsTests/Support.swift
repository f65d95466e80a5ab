import Checkpoints
import Formats
import Kernels
import TestSupport

/// Rows whose bytes the test has made.
struct GivenRows: RowSource {
    let bytes: [UInt8]
    let rowByteCount: Int

    var description: String { "given bytes" }

    func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        bytes[rows.lowerBound * rowByteCount..<rows.upperBound * rowByteCount].withUnsafeBytes {
            output.copyMemory(from: $0)
        }
    }
}

extension Tensor {
    /// A tensor of f32 values.
    init(_ name: String, _ shape: [Int], _ values: [Float]) {
        precondition(values.count == shape.reduce(1, *))
        let bytes = values.withUnsafeBytes { Array($0) }
        self.init(
            name: name, dtype: .f32, shape: shape,
            recipe: .computed(GivenRows(bytes: bytes, rowByteCount: 4 * (shape.last ?? 1))))
    }

    /// A tensor of a type, with values rounded to it.
    init(_ name: String, _ shape: [Int], _ values: [Float], as dtype: DType) {
        let columns = shape.last ?? 1, rows = values.count / columns
        var bytes = [UInt8](repeating: 0, count: dtype.byteCount(of: values.count) ?? 0)
        bytes.withUnsafeMutableBytes { Codec.encode(dtype, values, rows: rows, rowLength: columns, into: $0) }
        self.init(
            name: name, dtype: dtype, shape: shape,
            recipe: .computed(GivenRows(bytes: bytes, rowByteCount: bytes.count / max(1, rows))))
    }
}
