internal import CKernels
package import Formats

/// Thirty-two rows of a weight matrix, decoded and transposed for a product.
///
/// Weights of any type are decoded a tile at a time, so that a matrix is never in memory as a whole.
package struct RowPanel {
    /// Rows in a panel.
    package static let width = Int(RESECT_PANEL)
    /// Columns that are decoded at once; a multiple of every block size.
    static let depth = 2048
    /// Floats from one decoded row to the next. At a power of two, rows that are transposed together would share one set of
    /// the cache.
    private static let rowStride = depth + 16

    private let decoded = Scratch(floats: RowPanel.width * RowPanel.rowStride)
    private let turned = Scratch(floats: RowPanel.width * RowPanel.depth)

    /// An empty panel, for one thread.
    package init() {}

    /// Multiplies `operand` with the rows: `output[m][n] = sum over k of operand[m][k] * rows[n][k]`.
    ///
    /// - Parameters:
    ///   - bytes: the rows as they are stored, contiguous, at most `width` of them.
    ///   - output: the address of the first row's products; products of the next rows follow it, those of the next
    ///     operand row are `stride` floats further.
    ///   - accumulates: whether the products are added to the existing values.
    package func multiply(
        _ operand: MatrixOperand, _ bytes: UnsafeRawBufferPointer, rows: Int, dtype: DType,
        output: UnsafeMutablePointer<Float>, stride: Int, accumulates: Bool
    ) {
        precondition(rows <= RowPanel.width && bytes.count % max(rows, 1) == 0)
        let rowByteCount = bytes.count / max(rows, 1)
        guard let base = bytes.baseAddress else { return }
        for start in Swift.stride(from: 0, to: operand.columns, by: RowPanel.depth) {
            let count = min(RowPanel.depth, operand.columns - start)
            var shape = resect_matmul_shape(
                m: operand.rows, n: rows, k: count, a_stride: operand.columns, b_stride: RowPanel.width,
                c_stride: stride, accumulate: accumulates || start > 0 ? 1 : 0)
            guard let first = dtype.byteCount(of: start) else { preconditionFailure("\(dtype) blocks of columns") }
            if dtype == .bf16, !operand.usesDotProducts, let pairs = operand.pairs {
                shape.k = count / 2
                shape.a_stride = operand.columns / 2
                turnPairs(base + first, rows: rows, pairs: count / 2, rowByteCount: rowByteCount)
                resect_matmul_bf16(&shape, pairs + start / 2, turned.words, output)
                continue
            }
            let piece = dtype.byteCount(of: count) ?? 0
            if operand.usesDotProducts {
                for row in 0..<rows {
                    let source = UnsafeRawBufferPointer(start: base + row * rowByteCount + first, count: piece)
                    multiplyRow(source, dtype, operand.values + start, shape, output + row)
                }
                continue
            }
            for row in 0..<rows {
                let source = UnsafeRawBufferPointer(start: base + row * rowByteCount + first, count: piece)
                Codec.decode(dtype, source, count: count, into: decoded.floats + row * RowPanel.rowStride)
            }
            resect_transpose(
                decoded.words, rows, count, RowPanel.rowStride, turned.words, RowPanel.width)
            resect_matmul_f32(
                &shape, operand.values + start, turned.floats, output, InstructionSet.best.rawValue)
        }
    }

    /// The products of a row of the weight with columns of the operand. f32 and bf16 are multiplied as they are stored.
    private func multiplyRow(
        _ source: UnsafeRawBufferPointer, _ dtype: DType, _ operand: UnsafePointer<Float>,
        _ shape: resect_matmul_shape, _ output: UnsafeMutablePointer<Float>
    ) {
        var weight = source.baseAddress
        if dtype != .bf16, dtype != .f32 {
            Codec.decode(dtype, source, count: shape.k, into: decoded.floats)
            weight = UnsafeRawPointer(decoded.base)
        }
        let dot = dtype == .bf16 ? resect_dot_bf16 : resect_dot_f32
        for line in 0..<shape.m {
            let product = dot(weight, operand + line * shape.a_stride, shape.k)
            let target = output + line * shape.c_stride
            target.pointee = shape.accumulate != 0 ? target.pointee + product : product
        }
    }

    private func turnPairs(_ base: UnsafeRawPointer, rows: Int, pairs: Int, rowByteCount: Int) {
        for row in 0..<rows {
            let source = base + row * rowByteCount
            (decoded.words + row * RowPanel.rowStride).withMemoryRebound(to: UInt8.self, capacity: pairs * 4) {
                $0.update(from: source.assumingMemoryBound(to: UInt8.self), count: pairs * 4)
            }
        }
        resect_transpose(decoded.words, rows, pairs, RowPanel.rowStride, turned.words, RowPanel.width)
    }
}
