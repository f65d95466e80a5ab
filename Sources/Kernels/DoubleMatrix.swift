internal import CKernels
internal import Parallel

/// A matrix of doubles, row after row. Rows are padded with zeros to whole vectors of eight.
///
/// Copies share their elements. Results do not depend on the instruction set or on the number of threads.
package struct DoubleMatrix: Sendable {
    /// How many rows.
    package let rows: Int
    /// How many columns.
    package let columns: Int
    /// Elements from one row to the next; a multiple of eight.
    package let stride: Int
    private let memory: Scratch

    /// Rows that one thread multiplies at once; several times what a kernel takes.
    private static let rowsAtOnce = 240

    /// A matrix of zeros.
    package init(rows: Int, columns: Int) {
        self.rows = rows
        self.columns = columns
        stride = (columns + 7) / 8 * 8
        memory = Scratch(byteCount: rows * stride * MemoryLayout<Double>.size)
        elements.update(repeating: 0, count: rows * stride)
    }

    /// The first element.
    package var elements: UnsafeMutablePointer<Double> { memory.base.assumingMemoryBound(to: Double.self) }

    /// The first element of a row.
    package func row(_ row: Int) -> UnsafeMutablePointer<Double> { elements + row * stride }

    /// One element.
    package subscript(row: Int, column: Int) -> Double {
        get { elements[row * stride + column] }
        nonmutating set { elements[row * stride + column] = newValue }
    }

    /// Whole vectors in a row.
    var vectors: Int { stride / 8 }

    /// The vectors of a row.
    func vectors(ofRow row: Int) -> UnsafeMutablePointer<SIMD8<Double>> {
        UnsafeMutableRawPointer(self.row(row)).assumingMemoryBound(to: SIMD8<Double>.self)
    }

    /// Some rows as a matrix of their own.
    package func taking(rows: Range<Int>) -> DoubleMatrix {
        let result = DoubleMatrix(rows: rows.count, columns: columns)
        result.elements.update(from: row(rows.lowerBound), count: rows.count * stride)
        return result
    }

    /// Changes the sign of all elements.
    package func negate() {
        for index in 0..<rows * stride { elements[index] = -elements[index] }
    }

    /// Adds `left right`, or `left' right`. Every element's sum runs over the rows of `right` in order.
    package func add(_ left: DoubleMatrix, transposed: Bool = false, _ right: DoubleMatrix, threads: Int) {
        precondition((transposed ? left.rows : left.columns) == right.rows && right.columns == columns)
        precondition((transposed ? left.columns : left.rows) == rows)
        let count = (rows + DoubleMatrix.rowsAtOnce - 1) / DoubleMatrix.rowsAtOnce
        Parallel.forEach(count, workers: threads) { index, _ in
            let first = index * DoubleMatrix.rowsAtOnce
            DoubleMatrix.multiply(
                .init(
                    transposed ? left.elements + first : left.row(first),
                    row: transposed ? 1 : left.stride, term: transposed ? left.stride : 1),
                rows: min(DoubleMatrix.rowsAtOnce, rows - first), terms: right.rows, right.elements,
                stride: stride, into: row(first))
        }
    }

    /// The left side of a product: its address, and the strides of its rows and of the terms of a sum.
    package struct Left {
        let base: UnsafePointer<Double>
        let row: Int
        let term: Int

        /// A left side.
        package init(_ base: UnsafePointer<Double>, row: Int, term: Int) {
            self.base = base
            self.row = row
            self.term = term
        }
    }

    /// `output[i][j] += sum over k of left[i][k] * right[k][j]`, in the order of k, in the calling thread.
    ///
    /// - Parameter stride: columns of `right` and `output`, a multiple of eight.
    package static func multiply(
        _ left: Left, rows: Int, terms: Int, _ right: UnsafePointer<Double>, stride: Int,
        into output: UnsafeMutablePointer<Double>, by instructions: InstructionSet = .best
    ) {
        precondition(stride % 8 == 0)
        var shape = resect_f64_product(
            m: rows, n: stride, k: terms, a_row: left.row, a_k: left.term, b_stride: stride, c_stride: stride)
        resect_multiply_f64(&shape, left.base, right, output, instructions.rawValue)
    }
}

extension SIMD8<Double> {
    /// The elements added in order.
    package var total: Double { self[0] + self[1] + self[2] + self[3] + self[4] + self[5] + self[6] + self[7] }
}
