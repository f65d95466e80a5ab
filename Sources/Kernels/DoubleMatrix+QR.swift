internal import Parallel

extension DoubleMatrix {
    /// The matrix as `Q R`: orthonormal columns times an upper triangle, by Householder reflections.
    ///
    /// Tall matrices are split into blocks of rows of fixed size. The triangles of the blocks, stacked, are factored in the
    /// same way. Linearly dependent columns of `q` get an arbitrary direction orthogonal to the rest.
    ///
    /// - Precondition: there are no more columns than rows.
    package func factoredQR(threads: Int) -> (q: DoubleMatrix, r: DoubleMatrix) {
        precondition(columns <= rows, "\(rows) rows of \(columns) have no orthonormal columns")
        let height = max(256, 4 * columns)
        guard rows >= 2 * height else { return Reflections(self).factors() }
        // The last block takes the rest, so that none has fewer rows than columns.
        let count = rows / height
        let blocks = Parallel.map(count, workers: threads) { index, _ in
            let end = index == count - 1 ? rows : (index + 1) * height
            return Reflections(taking(rows: index * height..<end)).factors()
        }
        let triangles = DoubleMatrix(rows: count * columns, columns: columns)
        for (index, block) in blocks.enumerated() {
            triangles.row(index * columns).update(from: block.r.elements, count: columns * stride)
        }
        let (inner, r) = triangles.factoredQR(threads: threads)
        let q = DoubleMatrix(rows: rows, columns: columns)
        Parallel.forEach(count, workers: threads) { index, _ in
            let block = blocks[index].q
            DoubleMatrix.multiply(
                .init(block.elements, row: block.stride, term: 1), rows: block.rows, terms: columns,
                inner.row(index * columns), stride: stride, into: q.row(index * height))
        }
        return (q, r)
    }
}

/// The Householder reflections that turn a matrix into an upper triangle, one for each column.
private struct Reflections {
    private let triangle: DoubleMatrix
    /// The vector of each reflection, a row each, and `2 / |v|^2`.
    private let vectors: DoubleMatrix
    private var scales: [Double] = []

    init(_ matrix: DoubleMatrix) {
        triangle = matrix.taking(rows: 0..<matrix.rows)
        vectors = DoubleMatrix(rows: matrix.columns, columns: matrix.rows)
        for column in 0..<matrix.columns {
            let vector = vectors.row(column)
            var squares = 0.0
            for row in column..<matrix.rows {
                vector[row] = triangle[row, column]
                squares += vector[row] * vector[row]
            }
            let length = squares.squareRoot()
            // The sign is that of the first element, so that the sum does not cancel.
            let first = vector[column]
            vector[column] += first < 0 ? -length : length
            let norm = squares - first * first + vector[column] * vector[column]
            scales.append(norm > 0 ? 2 / norm : 0)
            reflect(triangle, by: column)
        }
    }

    /// Applies one reflection to the rows of a matrix from `column` on; it does not change those above.
    private func reflect(_ matrix: DoubleMatrix, by column: Int) {
        guard scales[column] > 0 else { return }
        let vector = vectors.row(column)
        let sums = DoubleMatrix(rows: 1, columns: matrix.columns)
        let sum = sums.vectors(ofRow: 0)
        for row in column..<matrix.rows {
            let (factor, values) = (vector[row], matrix.vectors(ofRow: row))
            for index in 0..<matrix.vectors { sum[index] += values[index] * factor }
        }
        for index in 0..<matrix.vectors { sum[index] *= scales[column] }
        for row in column..<matrix.rows {
            let (factor, values) = (vector[row], matrix.vectors(ofRow: row))
            for index in 0..<matrix.vectors { values[index] -= sum[index] * factor }
        }
    }

    func factors() -> (q: DoubleMatrix, r: DoubleMatrix) {
        let columns = triangle.columns
        let q = DoubleMatrix(rows: triangle.rows, columns: columns)
        for column in 0..<columns { q[column, column] = 1 }
        for column in (0..<columns).reversed() { reflect(q, by: column) }
        let r = DoubleMatrix(rows: columns, columns: columns)
        for row in 0..<columns {
            for column in row..<columns { r[row, column] = triangle[row, column] }
        }
        return (q, r)
    }
}
