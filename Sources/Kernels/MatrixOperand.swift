internal import CKernels
internal import Parallel

/// The left side of products with weights: rows of f32 activations, with a copy in bf16 for the CPU's bf16 instructions.
package struct MatrixOperand: Sendable {
    /// How many rows.
    package let rows: Int
    /// How many columns.
    package let columns: Int
    /// The f32 values.
    package nonisolated(unsafe) let values: UnsafePointer<Float>
    private let bf16: Scratch?
    /// Whether products are computed a row of the weight at a time. This is faster for a single row of activations, where
    /// decoding and transposing a panel of weights costs more than the product. Sums then run over lanes.
    let usesDotProducts: Bool

    /// An operand of f32 values.
    ///
    /// - Parameters:
    ///   - values: [rows, columns], contiguous; they must stay as they are as long as the operand is used.
    ///   - bf16: room for the copy in bf16; `nil` when products are not to use the CPU's bf16 instructions.
    ///   - usesDotProducts: whether products are computed a row of the weight at a time.
    package init(
        _ values: UnsafePointer<Float>, rows: Int, columns: Int, bf16: Scratch?, threads: Int,
        usesDotProducts: Bool = false
    ) {
        self.usesDotProducts = usesDotProducts
        self.rows = rows
        self.columns = columns
        self.values = values
        self.bf16 = bf16
        guard let bf16, columns % 2 == 0 else { return }
        precondition(bf16.byteCount >= rows * columns * 2, "no room for the operand")
        nonisolated(unsafe) let source = values
        let step = 64
        Parallel.forEach((rows + step - 1) / step, workers: threads) { index, _ in
            let first = index * step * columns
            let count = min(step, rows - index * step) * columns
            resect_to_bf16(source + first, bf16.halves + first, count)
        }
    }

    /// The bf16 copy as pairs of neighbours in a row; `nil` without one, or when `columns` is odd.
    var pairs: UnsafePointer<UInt32>? {
        columns % 2 == 0 ? bf16.map { UnsafePointer($0.words) } : nil
    }

    /// Whether the CPU has bf16 dot products (AVX512_BF16).
    package static var supportsBF16: Bool { resect_has_bf16() != 0 }
}
