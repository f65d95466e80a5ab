internal import CKernels

/// The product of two thin matrices, added to values: `values += scale * left right`.
package enum LowRankSum {
    /// Columns that rows of the right matrix are padded to.
    package static func stride(columns: Int) -> Int { (columns + 15) / 16 * 16 }

    /// Adds a product. Every product is added to the sum with one rounding, over the ranks in order, so that all
    /// instruction sets and PyTorch give the same bits.
    ///
    /// - Parameters:
    ///   - values: [rows, columns], contiguous.
    ///   - left: [rows, rank], contiguous.
    ///   - right: [rank, columns]; rows lie `stride(columns:)` apart.
    ///   - scale: the factor of the product.
    package static func add(
        to values: UnsafeMutablePointer<Float>, rows: Int, columns: Int, left: UnsafePointer<Float>,
        right: UnsafePointer<Float>, rank: Int, scale: Float, by instructions: InstructionSet = .best
    ) {
        guard rows > 0, columns > 0 else { return }
        var shape = resect_low_rank_shape(
            rows: rows, columns: columns, rank: rank, right_stride: stride(columns: columns), scale: scale)
        resect_add_low_rank_of(&shape, left, right, values, instructions.rawValue)
    }
}
