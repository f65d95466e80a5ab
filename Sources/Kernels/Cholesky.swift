internal import CKernels
internal import Parallel

/// The Cholesky factor `L` of a symmetric positive definite matrix, `A = L L'`, in f64.
///
/// Blocks are taken in a fixed order, so that the bits do not depend on the number of threads or the instruction set.
package struct Cholesky: Sendable {
    /// Rows and columns.
    package let size: Int
    /// L in the lower triangle; what lies above is not used.
    private let lower: DoubleMatrix
    /// The inverses of the diagonal blocks of L.
    private let inverses: [DoubleMatrix]

    private static let block = 96
    /// Columns of a right side that one thread solves for at once.
    private static let strip = 64

    /// Factors `matrix + ridge I`, of which only the lower triangle is read.
    ///
    /// - Returns: `nil` when the sum is not positive definite to f64, or holds NaN or infinity.
    package init?(_ matrix: DoubleMatrix, ridge: Double = 0, threads: Int) {
        precondition(matrix.rows == matrix.columns, "\(matrix.rows) rows, \(matrix.columns) columns")
        size = matrix.rows
        lower = matrix.taking(rows: 0..<matrix.rows)
        for index in 0..<size { lower[index, index] += ridge }
        var inverses: [DoubleMatrix] = []
        // -L', for the columns of one block.
        let turned = DoubleMatrix(rows: Cholesky.block, columns: size)
        for start in stride(from: 0, to: size, by: Cholesky.block) {
            let block = start..<min(size, start + Cholesky.block)
            guard let inverse = Cholesky.factorDiagonal(lower, block) else { return nil }
            inverses.append(inverse)
            let left = lower
            let chunks = (size - block.upperBound + Cholesky.block - 1) / Cholesky.block
            Parallel.forEach(chunks, workers: threads) { chunk, _ in
                let first = block.upperBound + chunk * Cholesky.block
                let rows = first..<min(left.rows, first + Cholesky.block)
                Cholesky.solveBelow(left, block, inverse, rows, turned)
            }
            // The longest rows first, so that all threads end together.
            Parallel.forEach(chunks, workers: threads) { turn, _ in
                let first = block.upperBound + (chunks - 1 - turn) * Cholesky.block
                let rows = first..<min(left.rows, first + Cholesky.block)
                Cholesky.multiply(
                    .init(left.row(rows.lowerBound) + block.lowerBound, row: left.stride, term: 1), rows: rows.count,
                    terms: block.count, (turned.elements + block.upperBound, turned.stride),
                    into: (left.row(rows.lowerBound) + block.upperBound, left.stride),
                    columns: rows.upperBound - block.upperBound)
            }
        }
        self.inverses = inverses
    }

    /// Replaces `right`, [size, columns], by the solution of `A X = right`.
    package func solve(_ right: DoubleMatrix, threads: Int) {
        precondition(right.rows == size, "\(right.rows) rows for a matrix of \(size)")
        let strips = (right.columns + Cholesky.strip - 1) / Cholesky.strip
        Parallel.forEach(strips, workers: threads) { index, _ in
            solve(right, columns: index * Cholesky.strip..<min(right.columns, (index + 1) * Cholesky.strip))
        }
    }

    private func solve(_ right: DoubleMatrix, columns: Range<Int>) {
        let part = DoubleMatrix(rows: size, columns: columns.count)
        // The solution with its sign changed, because products are only added.
        let negative = DoubleMatrix(rows: size, columns: columns.count)
        for row in 0..<size { part.row(row).update(from: right.row(row) + columns.lowerBound, count: columns.count) }
        let width = part.stride
        func finish(_ block: Range<Int>, transposed: Bool) {
            let inverse = inverses[block.lowerBound / Cholesky.block]
            let solution = DoubleMatrix(rows: block.count, columns: columns.count)
            Cholesky.multiply(
                .init(inverse.elements, row: transposed ? 1 : inverse.stride, term: transposed ? inverse.stride : 1),
                rows: block.count, terms: block.count, (part.row(block.lowerBound), width),
                into: (solution.elements, width), columns: width)
            part.row(block.lowerBound).update(from: solution.elements, count: block.count * width)
            let target = negative.row(block.lowerBound)
            for index in 0..<block.count * width { target[index] = -solution.elements[index] }
        }
        let starts = Array(stride(from: 0, to: size, by: Cholesky.block))
        for start in starts {
            let block = start..<min(size, start + Cholesky.block)
            Cholesky.multiply(
                .init(lower.row(start), row: lower.stride, term: 1), rows: block.count, terms: start,
                (negative.elements, width), into: (part.row(start), width), columns: width)
            finish(block, transposed: false)
        }
        for start in starts.reversed() {
            let block = start..<min(size, start + Cholesky.block)
            if block.upperBound < size {
                Cholesky.multiply(
                    .init(lower.row(block.upperBound) + start, row: 1, term: lower.stride), rows: block.count,
                    terms: size - block.upperBound, (negative.row(block.upperBound), width),
                    into: (part.row(start), width), columns: width)
            }
            finish(block, transposed: true)
        }
        for row in 0..<size { (right.row(row) + columns.lowerBound).update(from: part.row(row), count: columns.count) }
    }

    /// Factors a diagonal block in place and gives the inverse of its triangle.
    ///
    /// Every element's sum runs over the columns in order, whole vectors of a row at once.
    private static func factorDiagonal(_ matrix: DoubleMatrix, _ block: Range<Int>) -> DoubleMatrix? {
        let (first, count) = (block.lowerBound, block.count)
        let work = DoubleMatrix(rows: count, columns: count), inverse = DoubleMatrix(rows: count, columns: count)
        for row in 0..<count { work.row(row).update(from: matrix.row(first + row) + first, count: row + 1) }
        // A column of L below the diagonal, and zeros above.
        let column = DoubleMatrix(rows: 1, columns: count)
        let factors = column.row(0), vectors = column.vectors(ofRow: 0)
        for index in 0..<count {
            let pivot = work[index, index]
            guard pivot > 0, pivot.isFinite else { return nil }
            let root = pivot.squareRoot()
            work[index, index] = root
            factors[index] = 0
            for row in index + 1..<max(index + 1, count) {
                factors[row] = work[row, index] / root
                work[row, index] = factors[row]
            }
            for row in index + 1..<max(index + 1, count) {
                let (factor, line) = (factors[row], work.vectors(ofRow: row))
                for vector in (index + 1) / 8...row / 8 { line[vector] -= factor * vectors[vector] }
            }
        }
        for row in 0..<count {
            let (line, result) = (work.row(row), inverse.vectors(ofRow: row))
            (matrix.row(first + row) + first).update(from: line, count: row + 1)
            inverse[row, row] = 1
            for term in 0..<row {
                let (factor, other) = (line[term], inverse.vectors(ofRow: term))
                for vector in 0...term / 8 { result[vector] -= factor * other[vector] }
            }
            for vector in 0...row / 8 { result[vector] /= line[row] }
        }
        return inverse
    }

    /// Makes rows of L below a diagonal block, and the same with their sign changed as columns of `turned`.
    private static func solveBelow(
        _ matrix: DoubleMatrix, _ block: Range<Int>, _ inverse: DoubleMatrix, _ rows: Range<Int>,
        _ turned: DoubleMatrix
    ) {
        let transposed = DoubleMatrix(rows: block.count, columns: block.count)
        for row in 0..<block.count { for column in 0...row { transposed[column, row] = inverse[row, column] } }
        let solution = DoubleMatrix(rows: rows.count, columns: block.count)
        multiply(
            .init(matrix.row(rows.lowerBound) + block.lowerBound, row: matrix.stride, term: 1), rows: rows.count,
            terms: block.count, (transposed.elements, transposed.stride), into: (solution.elements, solution.stride),
            columns: solution.stride)
        for row in 0..<rows.count {
            (matrix.row(rows.lowerBound + row) + block.lowerBound).update(from: solution.row(row), count: block.count)
        }
        for column in 0..<block.count {
            let (line, from) = (turned.row(column) + rows.lowerBound, solution.elements + column)
            for row in 0..<rows.count { line[row] = -from[row * solution.stride] }
        }
    }

    /// `output += left right` in the calling thread; the columns are padded to whole vectors, which both sides have.
    private static func multiply(
        _ left: DoubleMatrix.Left, rows: Int, terms: Int, _ right: (base: UnsafeMutablePointer<Double>, stride: Int),
        into output: (base: UnsafeMutablePointer<Double>, stride: Int), columns: Int
    ) {
        var shape = resect_f64_product(
            m: rows, n: (columns + 7) / 8 * 8, k: terms, a_row: left.row, a_k: left.term, b_stride: right.stride,
            c_stride: output.stride)
        resect_multiply_f64(&shape, left.base, right.base, output.base, InstructionSet.best.rawValue)
    }
}
