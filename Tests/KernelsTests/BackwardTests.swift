import CKernels
import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

@Suite("derivatives between the products, and dropout")
struct BackwardTests {
    /// The slope of a loss along a direction, from values on both sides.
    private static func slope(_ x: [Float], _ direction: [Float], _ loss: ([Double]) -> Double) -> Double {
        let step = 1e-5
        let sides = [step, -step].map { side in
            loss(zip(x, direction).map { Double($0) + side * Double($1) })
        }
        return (sides[0] - sides[1]) / (2 * step)
    }

    private static func dot(_ a: [Float], _ b: [Float]) -> Double {
        zip(a, b).reduce(0) { $0 + Double($1.0) * Double($1.1) }
    }

    @Test("rms_norm_backward adds the derivative by the input", arguments: ActivationTests.counts)
    func rmsNorm(count: Int) {
        var random = SeededGenerator(seed: 51)
        let (x, weight, gradient) = (random.floats(count), random.floats(count), random.floats(count))
        let direction = random.floats(count)
        var found = [Float](repeating: 1, count: count)
        resect_rms_norm_backward(x, weight, gradient, &found, count, 1e-2)
        let expected = BackwardTests.slope(x, direction) { x in
            let scale = 1 / (x.reduce(0) { $0 + $1 * $1 } / Double(count) + 1e-2).squareRoot()
            return zip(zip(x, weight), gradient).reduce(0) { $0 + $1.0.0 * scale * Double($1.0.1) * Double($1.1) }
        }
        let slope = BackwardTests.dot(found.map { $0 - 1 }, direction)
        #expect(abs(slope - expected) < 1e-4 * max(1, abs(expected)))
    }

    @Test("softmax_backward gives the derivative by the scores", arguments: ActivationTests.counts)
    func softmax(count: Int) {
        var random = SeededGenerator(seed: 52)
        let (x, gradient, direction) = (random.floats(count, scale: 3), random.floats(count), random.floats(count))
        var probabilities = x, found = gradient
        resect_softmax(&probabilities, count, 0.5)
        resect_softmax_backward(probabilities, &found, count, 0.5)
        let expected = BackwardTests.slope(x, direction) { x in
            let powers = x.map { exp(0.5 * $0) }, sum = powers.reduce(0, +)
            return zip(powers, gradient).reduce(0) { $0 + $1.0 / sum * Double($1.1) }
        }
        #expect(abs(BackwardTests.dot(found, direction) - expected) < 1e-5 * max(1, abs(expected)))
    }

    @Test("silu_times_backward gives the product and both derivatives", arguments: ActivationTests.counts)
    func silu(count: Int) {
        var random = SeededGenerator(seed: 53)
        let (gate, up, gradient) = (random.floats(count, scale: 4), random.floats(count), random.floats(count))
        var (g, u, product) = (gate, up, [Float](repeating: .nan, count: count))
        resect_silu_times_backward(&g, &u, gradient, &product, count)
        for index in 0..<count {
            let (x, y, d) = (Double(gate[index]), Double(up[index]), Double(gradient[index]))
            let sigmoid = 1 / (1 + exp(-x))
            #expect(abs(Double(product[index]) - x * sigmoid * y) < 1e-5)
            #expect(abs(Double(u[index]) - d * x * sigmoid) < 1e-5)
            #expect(abs(Double(g[index]) - d * y * sigmoid * (1 + x * (1 - sigmoid))) < 1e-5)
        }
    }

    @Test("dropout drops its share, and the mean stays", arguments: [0.05, 0.5])
    func dropout(rate: Double) {
        let count = 100_000
        let x = [Float](repeating: 1, count: count)
        var found = [Float](repeating: .nan, count: count)
        let threshold = UInt32(rate * 4_294_967_296), scale = Float(1 / (1 - rate))
        resect_dropout(x, &found, count, 0, 7, threshold, scale)
        #expect(found.allSatisfy { $0 == 0 || $0 == scale })
        let share = Double(found.count { $0 == 0 }) / Double(count)
        #expect(abs(share - rate) < 5 * (rate * (1 - rate) / Double(count)).squareRoot())
        // Neighbours are dropped independently of each other.
        let pairs = zip(found, found.dropFirst()).count { $0 == 0 && $1 == 0 }
        #expect(abs(Double(pairs) / Double(count) - rate * rate) < 0.01)
        var other = found
        resect_dropout(x, &other, count, 0, 8, threshold, scale)
        #expect(other != found)
    }

    @Test("what is dropped depends on the index alone, also beyond four bytes", arguments: [0, 0xFFFF_FFF0, 1 << 40])
    func indices(first: UInt64) {
        var random = SeededGenerator(seed: 54)
        let x = random.floats(64)
        var whole = [Float](repeating: .nan, count: 64), parts = whole, sum = x
        resect_dropout(x, &whole, 64, first, 9, 1 << 31, 2)
        for start in stride(from: 0, to: 64, by: 8) {
            var part = [Float](repeating: .nan, count: 8)
            resect_dropout(Array(x[start..<start + 8]), &part, 8, first + UInt64(start), 9, 1 << 31, 2)
            parts.replaceSubrange(start..<start + 8, with: part)
        }
        #expect(parts == whole && whole.contains(0))
        resect_add_dropout(&sum, x, 64, first, 9, 1 << 31, 2)
        #expect(zip(zip(sum, x), whole).allSatisfy { abs($0.0 - ($0.1 + $1)) < 1e-6 })
    }
}
