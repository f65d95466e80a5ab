internal import CKernels
internal import Parallel

/// The left side of products with weights: rows of f32 activations, and the same in bf16 once a product wants it.
package struct MatrixOperand: Sendable {
    /// How many rows.
    package let rows: Int
    /// How many columns.
    package let columns: Int
    /// The f32 values.
    package nonisolated(unsafe) let values: UnsafePointer<Float>
    private let bf16: Scratch?
    /// Whether products are computed a row of the weight at a time: faster for a single row, where decoding and turning a panel
    /// of weights costs more than the product. Sums then run over lanes.
    let usesDotProducts: Bool

    /// An operand of f32 values.
    ///
    /// - Parameters:
    ///   - values: [rows, columns], contiguous; they must stay as they are as long as the operand is used.
    ///   - bf16: room for the same in bf16, where products by the CPU's bf16 instructions are wanted.
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

    /// Pairs of bf16, neighbours in a row; `nil` where there are none.
    var pairs: UnsafePointer<UInt32>? {
        columns % 2 == 0 ? bf16.map { UnsafePointer($0.words) } : nil
    }

    /// Whether this machine multiplies bf16.
    package static var supportsBF16: Bool { resect_has_bf16() != 0 }
}
