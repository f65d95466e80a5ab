import CKernels
import Kernels
import TestSupport
import Testing

@Suite("matrices of doubles")
struct DoubleMatrixTests {
    static func random(_ rows: Int, _ columns: Int, seed: UInt64 = 3) -> DoubleMatrix {
        var generator = SeededGenerator(seed: seed)
        let matrix = DoubleMatrix(rows: rows, columns: columns)
        for row in 0..<rows {
            for column in 0..<columns { matrix[row, column] = Double.random(in: -1...1, using: &generator) }
        }
        return matrix
    }

    static func transposed(_ matrix: DoubleMatrix) -> DoubleMatrix {
        let result = DoubleMatrix(rows: matrix.columns, columns: matrix.rows)
        for row in 0..<matrix.rows { for column in 0..<matrix.columns { result[column, row] = matrix[row, column] } }
        return result
    }

    static func product(_ a: DoubleMatrix, _ b: DoubleMatrix) -> DoubleMatrix {
        let result = DoubleMatrix(rows: a.rows, columns: b.columns)
        for row in 0..<a.rows {
            for column in 0..<b.columns {
                for k in 0..<a.columns { result[row, column] += a[row, k] * b[k, column] }
            }
        }
        return result
    }

    /// The largest difference of two elements.
    static func distance(_ a: DoubleMatrix, _ b: DoubleMatrix) -> Double {
        (0..<a.rows).flatMap { row in (0..<a.columns).map { abs(a[row, $0] - b[row, $0]) } }.max() ?? 0
    }

    static func bits(_ matrix: DoubleMatrix) -> [UInt64] {
        (0..<matrix.rows).flatMap { row in (0..<matrix.columns).map { matrix[row, $0].bitPattern } }
    }

    static func identity(_ size: Int) -> DoubleMatrix {
        let result = DoubleMatrix(rows: size, columns: size)
        for index in 0..<size { result[index, index] = 1 }
        return result
    }

    @Test(
        "a product is that of a plain loop to the bit, on every instruction set",
        arguments: [(1, 1, 1), (16, 8, 5), (37, 24, 100), (5, 11, 3), (33, 72, 17), (2, 3, 0)])
    func product(rows: Int, columns: Int, terms: Int) {
        let a = DoubleMatrixTests.random(rows, terms), b = DoubleMatrixTests.random(terms, columns, seed: 4)
        let plain = DoubleMatrixTests.bits(DoubleMatrixTests.product(a, b))
        let turned = DoubleMatrixTests.transposed(a)
        for instructions in InstructionSet.available {
            for left in [
                DoubleMatrix.Left(a.elements, row: a.stride, term: 1),
                DoubleMatrix.Left(turned.elements, row: 1, term: turned.stride),
            ] {
                let result = DoubleMatrix(rows: rows, columns: columns)
                DoubleMatrix.multiply(
                    left, rows: rows, terms: terms, b.elements, stride: b.stride, into: result.elements,
                    by: instructions)
                #expect(DoubleMatrixTests.bits(result) == plain, "\(instructions)")
            }
        }
        for threads in 1...3 {
            let result = DoubleMatrix(rows: rows, columns: columns)
            result.add(a, b, threads: threads)
            #expect(DoubleMatrixTests.bits(result) == plain)
        }
    }

    /// Matrices for QR: short, two levels of blocks, with columns that depend on others, and zero.
    private static func examples() -> [DoubleMatrix] {
        let dependent = product(random(700, 5), random(5, 12, seed: 8))
        return [
            random(1, 1), random(9, 9), random(300, 20), random(2500, 24), dependent,
            DoubleMatrix(rows: 20, columns: 4),
        ]
    }

    @Test("Q has orthonormal columns, R is an upper triangle, and their product is the matrix")
    func qr() {
        for matrix in DoubleMatrixTests.examples() {
            let (q, r) = matrix.factoredQR(threads: 2)
            let unit = DoubleMatrixTests.product(DoubleMatrixTests.transposed(q), q)
            #expect(DoubleMatrixTests.distance(unit, DoubleMatrixTests.identity(matrix.columns)) < 1e-14)
            #expect(DoubleMatrixTests.distance(DoubleMatrixTests.product(q, r), matrix) < 1e-13)
            for row in 1..<max(1, r.rows) { for column in 0..<row { #expect(r[row, column] == 0) } }
        }
    }

    @Test("Q and R do not depend on the number of threads")
    func qrThreads() {
        let matrix = DoubleMatrixTests.random(2500, 24)
        let one = matrix.factoredQR(threads: 1), two = matrix.factoredQR(threads: 2)
        #expect(DoubleMatrixTests.bits(one.q) == DoubleMatrixTests.bits(two.q))
        #expect(DoubleMatrixTests.bits(one.r) == DoubleMatrixTests.bits(two.r))
    }

    /// `numpy.linalg.svd(H, compute_uv=False)` of H = [[1 / (i + j + 1) for j in range(6)] for i in range(6)].
    private static let hilbertValues = [
        1.6188998589243393, 0.2423608705752095, 0.016321521319875812, 0.0006157483541826381, 1.257075712264247e-05,
        1.0827994844117585e-07,
    ]

    @Test("the singular values of Hilbert's matrix are numpy's")
    func hilbert() {
        let matrix = DoubleMatrix(rows: 6, columns: 6)
        for row in 0..<6 { for column in 0..<6 { matrix[row, column] = 1 / Double(row + column + 1) } }
        let found = SmallSVD(matrix)
        for (value, known) in zip(found.values, DoubleMatrixTests.hilbertValues) { #expect(abs(value - known) < 1e-14) }
    }

    @Test("singular values that a matrix was made of are found, with their vectors")
    func spectrum() {
        let size = 40
        let left = DoubleMatrixTests.random(size, size).factoredQR(threads: 1).q
        let right = DoubleMatrixTests.random(size, size, seed: 9).factoredQR(threads: 1).q
        // Values of one size, a wide gap, and a last one of zero.
        let values = (0..<size).map { $0 < 5 ? 3 : $0 == size - 1 ? 0 : 1 / Double(1 << ($0 % 20)) }.sorted(by: >)
        let matrix = DoubleMatrix(rows: size, columns: size)
        for k in 0..<size {
            for row in 0..<size {
                for column in 0..<size { matrix[row, column] += left[row, k] * values[k] * right[column, k] }
            }
        }
        let found = SmallSVD(matrix)
        for (value, known) in zip(found.values, values) { #expect(abs(value - known) < 1e-13) }
        let unit = DoubleMatrixTests.product(found.vectors, DoubleMatrixTests.transposed(found.vectors))
        for row in 0..<size - 1 {
            for column in 0..<size - 1 { #expect(abs(unit[row, column] - (row == column ? 1 : 0)) < 1e-13) }
        }
        // M v has the length of its singular value.
        let images = DoubleMatrixTests.product(matrix, DoubleMatrixTests.transposed(found.vectors))
        for k in 0..<size - 1 {
            let length = (0..<size).reduce(0) { $0 + images[$1, k] * images[$1, k] }.squareRoot()
            #expect(abs(length - values[k]) < 1e-13)
        }
    }
}
