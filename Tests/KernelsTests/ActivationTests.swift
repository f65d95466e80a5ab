import CKernels
import Kernels
import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

@Suite("what a layer does between its products")
struct ActivationTests {
    static let counts = [1, 2, 15, 16, 17, 31, 64, 100, 576, 1000]

    private static func close(_ found: [Float], _ expected: [Double], _ tolerance: Double) -> Bool {
        zip(found, expected).allSatisfy { abs(Double($0) - $1) <= tolerance * max(1e-3, abs($1)) }
    }

    @Test("rms_norm divides by the root of the mean square", arguments: counts)
    func rmsNorm(count: Int) {
        var generator = SeededGenerator(seed: 31)
        let x = generator.floats(count, scale: 3)
        let weight = generator.floats(count)
        var output = [Float](repeating: .nan, count: count)
        resect_rms_norm(x, weight, &output, count, 1e-5)
        let mean = x.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(count)
        let expected = zip(x, weight).map { Double($0) * Double($1) / (mean + 1e-5).squareRoot() }
        #expect(ActivationTests.close(output, expected, 1e-5))
    }

    @Test("softmax of scaled values sums to 1 and keeps the ratios", arguments: counts, [Float(1), 0.125])
    func softmax(count: Int, scale: Float) {
        var generator = SeededGenerator(seed: 33)
        let x = generator.floats(count, scale: 20)
        var output = x
        resect_softmax(&output, count, scale)
        let highest = x.map { Double($0) * Double(scale) }.max() ?? 0
        let exponentials = x.map { exp(Double($0) * Double(scale) - highest) }
        let sum = exponentials.reduce(0, +)
        #expect(ActivationTests.close(output, exponentials.map { $0 / sum }, 1e-5))
        #expect(abs(output.reduce(0.0) { $0 + Double($1) } - 1) < 1e-5)
    }

    @Test("softmax and log_sum_exp hold out against masks and large values")
    func extremes() {
        var x: [Float] = [1e4, -.infinity, 1e4, -1e9] + Array(repeating: -.infinity, count: 20)
        #expect(abs(resect_log_sum_exp(x, x.count) - (1e4 + log(2.0))) < 1e-2)
        resect_softmax(&x, x.count, 1)
        #expect(x == [0.5, 0, 0.5, 0] + Array(repeating: 0, count: 20))
    }

    @Test("silu_times gates by x / (1 + exp(-x))", arguments: counts)
    func silu(count: Int) {
        var generator = SeededGenerator(seed: 35)
        let gate = generator.floats(count, scale: 8)
        let up = generator.floats(count)
        var output = gate
        resect_silu_times(&output, up, count)
        let expected = zip(gate, up).map { Double($0) / (1 + exp(-Double($0))) * Double($1) }
        #expect(ActivationTests.close(output, expected, 1e-5))
        var far: [Float] = [-200, -100, 0, 100, 200]
        resect_silu_times(&far, [1, 1, 1, 1, 1], 5)
        #expect(abs(far[0]) < 1e-30 && abs(far[1]) < 1e-30 && far[2...] == [0, 100, 200])
    }

    @Test("add adds", arguments: counts)
    func add(count: Int) {
        var generator = SeededGenerator(seed: 37)
        let x = generator.floats(count)
        let y = generator.floats(count)
        var output = x
        resect_add(&output, y, count)
        #expect(output == zip(x, y).map(+))
    }

    @Test("a rotation turns pairs of numbers, of either layout, by their angle", arguments: [2, 8, 30, 64, 128])
    func rotate(size: Int) {
        var generator = SeededGenerator(seed: 39)
        let head = generator.floats(size)
        let angles = (0..<size / 2).map { Double($0) * 0.37 + 0.1 }
        let cosine = angles.map { Float(cos($0)) }
        let sine = angles.map { Float(sin($0)) }
        for (apart, isPairs) in [(size / 2, false), (1, true)] {
            var output = head
            if isPairs {
                resect_rotate_pairs(&output, cosine, sine, size)
            } else {
                resect_rotate_halves(&output, cosine, sine, size)
            }
            var expected = head.map(Double.init)
            for (i, angle) in angles.enumerated() {
                let first = isPairs ? 2 * i : i
                let a = Double(head[first])
                let b = Double(head[first + apart])
                expected[first] = a * cos(angle) - b * sin(angle)
                expected[first + apart] = b * cos(angle) + a * sin(angle)
            }
            #expect(zip(output, expected).allSatisfy { abs(Double($0) - $1) < 1e-6 })
        }
    }

    @Test("log_sum_exp is the logarithm of the sum", arguments: counts)
    func logSumExp(count: Int) {
        var generator = SeededGenerator(seed: 41)
        let x = generator.floats(count, scale: 10)
        let expected = log(x.reduce(0.0) { $0 + exp(Double($1)) })
        #expect(abs(resect_log_sum_exp(x, count) - expected) < 1e-6 * max(1, abs(expected)))
    }

    @Test("mean_difference weighs differences by the softmax of the first row", arguments: counts)
    func meanDifference(count: Int) {
        var generator = SeededGenerator(seed: 42)
        let x = generator.floats(count, scale: 10)
        let y = generator.floats(count, scale: 10)
        let highest = Double(x.max() ?? 0)
        let weights = x.map { exp(Double($0) - highest) }
        let weighted = zip(weights, zip(x, y)).reduce(0.0) { $0 + $1.0 * (Double($1.1.0) - Double($1.1.1)) }
        let expected = weighted / weights.reduce(0, +)
        #expect(abs(resect_mean_difference(x, y, count) - expected) < 1e-5)
        #expect(resect_mean_difference(x, x, count) == 0)
    }

    @Test("mean_difference is infinite where only the second row rules an element out, and skips those without weight")
    func infiniteDifference() {
        #expect(resect_mean_difference([0, 1], [0, -.infinity], 2) == .infinity)
        #expect(resect_mean_difference([0, -.infinity], [0, 1], 2) == 0)
        #expect(resect_mean_difference([0, .nan], [0, 1], 2).isNaN)
    }

    @Test("index_of_greatest gives the first of the greatest elements", arguments: counts)
    func indexOfGreatest(count: Int) {
        var generator = SeededGenerator(seed: 44)
        let x = generator.floats(count, scale: 10).map { $0.rounded() }
        #expect(resect_index_of_greatest(x, count) == x.firstIndex(of: x.max() ?? 0))
        #expect(resect_index_of_greatest(Array(repeating: .nan, count: count), count) == count)
        #expect(resect_index_of_greatest([.nan] + x, count + 1) == 1 + (x.firstIndex(of: x.max() ?? 0) ?? 0))
    }

    @Test("dot products of f32 and bf16 at any address", arguments: counts, [0, 1, 2])
    func dots(count: Int, offset: Int) {
        var generator = SeededGenerator(seed: 46)
        let x = generator.floats(count)
        let y = generator.floats(count)
        let halves = x.map { UInt16($0.bitPattern >> 16) }
        let cut = halves.map { Float(bitPattern: UInt32($0) << 16) }
        func bytes<Element>(_ values: [Element]) -> [UInt8] {
            Array(repeating: 0xFF, count: offset) + values.withUnsafeBytes { Array($0) }
        }
        func expected(_ x: [Float]) -> Double { zip(x, y).reduce(0.0) { $0 + Double($1.0) * Double($1.1) } }
        let full = bytes(x).withUnsafeBytes { resect_dot_f32($0.baseAddress.map { $0 + offset }, y, count) }
        let half = bytes(halves).withUnsafeBytes { resect_dot_bf16($0.baseAddress.map { $0 + offset }, y, count) }
        #expect(abs(Double(full) - expected(x)) < 1e-5 * Double(count))
        #expect(abs(Double(half) - expected(cut)) < 1e-5 * Double(count))
    }

    @Test("normalize gives the unit vector, whatever the length", arguments: counts, [Float(1e-15), 1, 1e15])
    func normalize(count: Int, scale: Float) {
        var generator = SeededGenerator(seed: 43)
        let x = generator.floats(count, scale: scale)
        var output = [Float](repeating: .nan, count: count)
        resect_normalize(x, &output, count)
        let length = x.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
        #expect(ActivationTests.close(output, x.map { Double($0) / length }, 1e-6))
        resect_normalize([Float](repeating: 0, count: count), &output, count)
        #expect(output == [Float](repeating: 0, count: count))
    }

    @Test("difference_and_sum gives both squared lengths", arguments: counts)
    func differenceAndSum(count: Int) {
        var generator = SeededGenerator(seed: 45)
        let u = generator.floats(count)
        let v = generator.floats(count)
        var difference = 0.0
        var sum = 0.0
        resect_difference_and_sum(u, v, count, &difference, &sum)
        let minus = zip(u, v).reduce(0.0) { $0 + (Double($1.0) - Double($1.1)) * (Double($1.0) - Double($1.1)) }
        let plus = zip(u, v).reduce(0.0) { $0 + (Double($1.0) + Double($1.1)) * (Double($1.0) + Double($1.1)) }
        #expect(abs(difference - minus) < 1e-5 * minus + 1e-12)
        #expect(abs(sum - plus) < 1e-5 * plus + 1e-12)
    }
}
