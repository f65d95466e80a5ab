internal import Checkpoints
internal import Kernels

/// The best low-rank approximation `B A` of a difference of weights, with the singular values shared evenly between the
/// two factors: `B = U sqrt(S)` and `A = sqrt(S) V'`.
///
/// With the same scale, the factors lose least when they are rounded to 16 bits, and both learn equally fast in a
/// further training.
struct LowRankFactors: Sendable {
    /// B, [rows, rank].
    let b: DoubleMatrix
    /// A transposed, [columns, rank].
    let a: DoubleMatrix
    /// The singular values that are held, the largest first.
    let values: [Double]
    /// The sum of all squared elements of the difference.
    let squares: Double

    /// How many singular values are held.
    var rank: Int { values.count }

    /// The squared norm that is held.
    var heldSquares: Double { values.reduce(0) { $0 + $1 * $1 } }

    /// The figures about the factors for reports.
    struct Measures: Sendable {
        let rank: Int
        let squares: Double
        let heldSquares: Double
    }

    /// The figures for reports.
    var measures: Measures { Measures(rank: rank, squares: squares, heldSquares: heldSquares) }

    /// Finds the factors of a difference; `nil` when it is zero.
    ///
    /// - Throws: when a weight is not finite, or when the requested share needs a rank above the highest.
    init?(
        _ difference: WeightDifference, ranks: RankChoice, threads: Int
    ) throws(CheckpointError) {
        var search = DominantDirections(difference, ranks: ranks, threads: threads)
        guard let directions = try search.directions() else { return nil }
        squares = search.squares
        let product = try difference.pass(directions, returns: false, threads: threads).product
        // D V = Q R and R = J S W', so the left vectors are D V W / S, and the right ones V W.
        let small = SmallSVD(product.factoredQR(threads: threads).r)
        let rank = directions.columns
        let left = DoubleMatrix(rows: rank, columns: rank)
        let right = DoubleMatrix(rows: rank, columns: rank)
        for (column, value) in small.values.enumerated() where value > 0 {
            for row in 0..<rank {
                left[row, column] = small.vectors[column, row] / value.squareRoot()
                right[row, column] = small.vectors[column, row] * value.squareRoot()
            }
        }
        b = DoubleMatrix(rows: difference.rows, columns: rank)
        b.add(product, left, threads: threads)
        a = DoubleMatrix(rows: difference.columns, columns: rank)
        a.add(directions, right, threads: threads)
        values = small.values
    }
}
