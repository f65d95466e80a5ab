/// The singular values of a small matrix with the right singular vectors, by one-sided Jacobi rotations of its rows.
///
/// Of a symmetric matrix without negative eigenvalues these are the eigenvalues and eigenvectors.
package struct SmallSVD: Sendable {
    /// The singular values, the largest first.
    package let values: [Double]
    /// The right singular vectors in the same order, a row each; zeros where the value is zero.
    package let vectors: DoubleMatrix

    /// The limit of sweeps over all pairs of rows. Convergence is quadratic, and takes six to ten.
    private static let mostSweeps = 40

    /// Decomposes a matrix.
    package init(_ matrix: DoubleMatrix) {
        let turned = matrix.taking(rows: 0..<matrix.rows)
        let tolerance = 2.3e-16 * Double(max(1, matrix.columns)).squareRoot()
        for _ in 0..<SmallSVD.mostSweeps {
            if SmallSVD.sweep(turned, tolerance: tolerance) == 0 { break }
        }
        let lengths = (0..<turned.rows).map { SmallSVD.product(turned, $0, $0).squareRoot() }
        // Ties keep the order of the rows, so that the result is the same everywhere.
        let order = lengths.indices.sorted { (lengths[$1], $0) < (lengths[$0], $1) }
        values = order.map { lengths[$0] }
        vectors = DoubleMatrix(rows: turned.rows, columns: turned.columns)
        for (index, row) in order.enumerated() where lengths[row] > 0 {
            let (from, to) = (turned.vectors(ofRow: row), vectors.vectors(ofRow: index))
            for vector in 0..<turned.vectors { to[vector] = from[vector] / lengths[row] }
        }
    }

    /// Makes each pair of rows orthogonal once.
    ///
    /// - Returns: how many pairs were not orthogonal.
    private static func sweep(_ matrix: DoubleMatrix, tolerance: Double) -> Int {
        var count = 0
        var squares = (0..<matrix.rows).map { product(matrix, $0, $0) }
        for p in 0..<max(0, matrix.rows - 1) {
            for q in p + 1..<matrix.rows {
                let (a, b) = (squares[p], squares[q])
                guard a > 0, b > 0 else { continue }
                let both = product(matrix, p, q)
                guard both.magnitude > tolerance * (a.squareRoot() * b.squareRoot()) else { continue }
                count += 1
                let ratio = (b - a) / (2 * both)
                let tangent = (ratio < 0 ? -1 : 1) / (ratio.magnitude + (1 + ratio * ratio).squareRoot())
                let cosine = 1 / (1 + tangent * tangent).squareRoot()
                rotate(matrix, p, q, cosine: cosine, sine: cosine * tangent)
                squares[p] = max(0, a - tangent * both)
                squares[q] = b + tangent * both
            }
        }
        return count
    }

    private static func product(_ matrix: DoubleMatrix, _ p: Int, _ q: Int) -> Double {
        let (x, y) = (matrix.vectors(ofRow: p), matrix.vectors(ofRow: q))
        var sum = SIMD8<Double>.zero
        for index in 0..<matrix.vectors { sum += x[index] * y[index] }
        return sum.total
    }

    private static func rotate(_ matrix: DoubleMatrix, _ p: Int, _ q: Int, cosine: Double, sine: Double) {
        let (x, y) = (matrix.vectors(ofRow: p), matrix.vectors(ofRow: q))
        for index in 0..<matrix.vectors {
            let (first, second) = (x[index], y[index])
            x[index] = first * cosine - second * sine
            y[index] = first * sine + second * cosine
        }
    }
}
