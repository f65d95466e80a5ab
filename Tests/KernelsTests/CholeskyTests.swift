import Kernels
import Testing

@Suite("Cholesky factors")
struct CholeskyTests {
    /// A symmetric matrix with a known lower bound of its eigenvalues: B B' + I.
    private static func positive(_ size: Int, seed: UInt64) -> DoubleMatrix {
        let b = DoubleMatrixTests.random(size, size, seed: seed)
        let result = DoubleMatrixTests.identity(size)
        result.add(b, DoubleMatrixTests.transposed(b), threads: 2)
        return result
    }

    @Test(
        "the solution of a system with a known one, at all borders of the blocks",
        arguments: [1, 2, 8, 95, 96, 97, 192, 250, 401])
    func solves(size: Int) throws {
        let matrix = CholeskyTests.positive(size, seed: UInt64(size))
        for columns in [1, 7, 64, 70] {
            let wanted = DoubleMatrixTests.random(size, columns, seed: 9)
            let right = DoubleMatrix(rows: size, columns: columns)
            right.add(matrix, wanted, threads: 2)
            let factor = try #require(Cholesky(matrix, threads: 2))
            factor.solve(right, threads: 2)
            #expect(DoubleMatrixTests.distance(right, wanted) < 1e-8)
        }
    }

    @Test("the ridge is added to the diagonal, and what lies above it is not read")
    func ridge() throws {
        let size = 130
        let matrix = CholeskyTests.positive(size, seed: 5)
        let sum = matrix.taking(rows: 0..<size)
        for index in 0..<size { sum[index, index] += 0.75 }
        let wanted = DoubleMatrixTests.random(size, 3, seed: 6)
        let right = DoubleMatrix(rows: size, columns: 3)
        right.add(sum, wanted, threads: 1)
        for row in 0..<size { for column in row + 1..<size { matrix[row, column] = .nan } }
        try #require(Cholesky(matrix, ridge: 0.75, threads: 1)).solve(right, threads: 1)
        #expect(DoubleMatrixTests.distance(right, wanted) < 1e-8)
    }

    @Test("every number of threads gives the same bits")
    func threads() throws {
        let matrix = CholeskyTests.positive(300, seed: 1)
        let results = try [1, 2, 3, 8].map { threads in
            let right = DoubleMatrixTests.random(300, 200, seed: 2)
            try #require(Cholesky(matrix, threads: threads)).solve(right, threads: threads)
            return DoubleMatrixTests.bits(right)
        }
        #expect(results.allSatisfy { $0 == results[0] })
    }

    @Test("what is not positive definite has no factor")
    func refuses() {
        for size in [1, 100] {
            for bad in [0, -1, Double.nan, .infinity] {
                let matrix = DoubleMatrixTests.identity(size)
                matrix[size - 1, size - 1] = bad
                #expect(Cholesky(matrix, threads: 2) == nil)
            }
        }
        let singular = DoubleMatrix(rows: 4, columns: 4)
        for row in 0..<4 { for column in 0..<4 { singular[row, column] = 1 } }
        #expect(Cholesky(singular, threads: 1) == nil)
        #expect(Cholesky(singular, ridge: 1e-3, threads: 1) != nil)
    }
}
