import CKernels
import Kernels
import TestSupport
import Testing

/// A matrix product with its strides.
struct Product: CustomTestStringConvertible, Sendable {
    var m, n, k: Int
    var gap = 0
    var accumulates = false

    var testDescription: String { "\(m)x\(k) by \(k)x\(n), gap \(gap)\(accumulates ? ", added" : "")" }

    /// Rows of b, and of c, are padded: b can be read up to whole panels.
    var bStride: Int { (n + Int(RESECT_PANEL) - 1) / Int(RESECT_PANEL) * Int(RESECT_PANEL) + gap }
    var aStride: Int { k + gap }
    var cStride: Int { n + gap }

    var shape: resect_matmul_shape {
        resect_matmul_shape(
            m: m, n: n, k: k, a_stride: aStride, b_stride: bStride, c_stride: cStride, accumulate: accumulates ? 1 : 0)
    }

    static let all: [Product] = [
        Product(m: 1, n: 1, k: 1), Product(m: 1, n: 33, k: 7), Product(m: 3, n: 31, k: 5, gap: 3),
        Product(m: 4, n: 32, k: 16),
        Product(m: 5, n: 64, k: 33, gap: 1), Product(m: 6, n: 8, k: 2), Product(m: 13, n: 17, k: 100),
        Product(m: 14, n: 96, k: 64, gap: 16), Product(m: 15, n: 65, k: 257),
        Product(m: 31, n: 40, k: 1, accumulates: true),
        Product(m: 29, n: 70, k: 129, gap: 5, accumulates: true), Product(m: 64, n: 128, k: 256, accumulates: true),
        // Rows of a whose lines share a set of the cache.
        Product(m: 29, n: 40, k: 1024), Product(m: 43, n: 33, k: 1000, gap: 24, accumulates: true),
        Product(m: 2, n: 3, k: 0), Product(m: 0, n: 5, k: 3), Product(m: 5, n: 0, k: 3),
    ]
}

@Suite("matrix products")
struct MatmulTests {
    @Test("f32 equals a plain loop in double precision, on every instruction set", arguments: Product.all)
    func f32(product: Product) {
        var generator = SeededGenerator(seed: 21)
        let a = generator.floats(product.aStride * product.m + 1)
        let b = generator.floats(product.bStride * max(1, product.k))
        let before = generator.floats(product.cStride * product.m + 1)
        for instructions in InstructionSet.available {
            var c = before
            var shape = product.shape
            resect_matmul_f32(&shape, a, b, &c, instructions.rawValue)
            MatmulTests.check(product, c, before: before, tolerance: 1e-6) { row, k, column in
                Double(a[row * product.aStride + k]) * Double(b[k * product.bStride + column])
            }
        }
    }

    @Test(
        "bf16 equals a plain loop over the rounded values", .enabled(if: resect_has_bf16() != 0), arguments: Product.all
    )
    func bf16(product: Product) {
        var generator = SeededGenerator(seed: 23)
        let a = MatmulTests.pairs(&generator, product.aStride * product.m + 1)
        let b = MatmulTests.pairs(&generator, product.bStride * max(1, product.k))
        let before = generator.floats(product.cStride * product.m + 1)
        var c = before
        var shape = product.shape
        resect_matmul_bf16(&shape, a, b, &c)
        MatmulTests.check(product, c, before: before, tolerance: 1e-5) { row, k, column in
            let left = MatmulTests.values(a[row * product.aStride + k])
            let right = MatmulTests.values(b[k * product.bStride + column])
            return left.0 * right.0 + left.1 * right.1
        }
    }

    /// Every element of the product within the rounding of f32 sums, and nothing written beside it.
    private static func check(
        _ product: Product, _ c: [Float], before: [Float], tolerance: Double,
        term: (_ row: Int, _ k: Int, _ column: Int) -> Double
    ) {
        var worst = 0.0
        var expected = before
        for row in 0..<product.m {
            for column in 0..<product.n {
                let index = row * product.cStride + column
                var sum = product.accumulates ? Double(before[index]) : 0
                var size = abs(sum)
                for k in 0..<product.k {
                    let term = term(row, k, column)
                    sum += term
                    size += abs(term)
                }
                worst = max(worst, abs(Double(c[index]) - sum) / max(size, 1e-30))
                expected[index] = c[index]
            }
        }
        #expect(worst < tolerance)
        #expect(c == expected, "something was written beside the product")
    }

    private static func pairs(_ generator: inout SeededGenerator, _ count: Int) -> [UInt32] {
        var halves = [UInt16](repeating: 0, count: 2 * count)
        resect_to_bf16(generator.floats(2 * count), &halves, 2 * count)
        return (0..<count).map { UInt32(halves[2 * $0]) | UInt32(halves[2 * $0 + 1]) << 16 }
    }

    private static func values(_ pair: UInt32) -> (Double, Double) {
        (Double(Float(bitPattern: pair << 16)), Double(Float(bitPattern: pair & 0xFFFF_0000)))
    }

    @Test(
        "a transposed matrix has its rows as columns",
        arguments: [(1, 1), (3, 50), (16, 16), (17, 33), (18, 15), (32, 64), (40, 5), (0, 3)])
    func transpose(rows: Int, columns: Int) {
        let stride = columns + 2
        let outputStride = rows + 3
        let source = (0..<UInt32(rows * stride + 1)).map { $0 }
        var output = [UInt32](repeating: .max, count: columns * outputStride + 1)
        resect_transpose(source, rows, columns, stride, &output, outputStride)
        var expected = [UInt32](repeating: .max, count: output.count)
        for row in 0..<rows {
            for column in 0..<columns { expected[column * outputStride + row] = source[row * stride + column] }
        }
        #expect(output == expected)
    }
}
