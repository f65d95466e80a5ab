import Kernels
import TestSupport
import Testing

@Suite("second moments")
struct SecondMomentTests {
    private static func values(_ count: Int, seed: UInt64) -> [Float] {
        var generator = SeededGenerator(seed: seed)
        return (0..<count).map { _ in Float.random(in: -2...2, using: &generator) }
    }

    @Test(
        "the sums of a plain loop in f64",
        arguments: [(1, 1, 1), (5, 3, 2), (513, 40, 33), (1100, 97, 31), (40, 64, 64)])
    func plain(rows: Int, inputs: Int, outputs: Int) {
        let x = SecondMomentTests.values(rows * inputs, seed: 1), t = SecondMomentTests.values(rows * outputs, seed: 2)
        let moments = SecondMoments(inputs: inputs, outputs: outputs, threads: 2)
        let first = rows / 3
        moments.add(x, t, rows: first)
        x.withUnsafeBufferPointer { x in
            t.withUnsafeBufferPointer { t in
                guard let x = x.baseAddress, let t = t.baseAddress else { return }
                moments.add(x + first * inputs, t + first * outputs, rows: rows - first)
            }
        }
        var worst = 0.0
        for i in 0..<inputs {
            for j in 0...i {
                let sum = (0..<rows).reduce(0.0) { $0 + Double(x[$1 * inputs + i]) * Double(x[$1 * inputs + j]) }
                worst = max(worst, abs(sum - moments.gram[i, j]))
            }
            for j in 0..<outputs {
                let sum = (0..<rows).reduce(0.0) { $0 + Double(x[$1 * inputs + i]) * Double(t[$1 * outputs + j]) }
                worst = max(worst, abs(sum - moments.cross[i, j]))
            }
        }
        // Rows have squares of about 4/3; f32 sums of 512 of them are good to some 1e-6 of that.
        #expect(worst < 1e-6 * Double(rows) + 1e-6)
        let squares = t.reduce(0.0) { $0 + Double($1) * Double($1) }
        #expect(abs(moments.squares - squares) < 1e-9 * squares)
        #expect(moments.rows == rows)
    }

    @Test("every number of threads gives the same bits")
    func threads() {
        let x = SecondMomentTests.values(700 * 130, seed: 3), t = SecondMomentTests.values(700 * 50, seed: 4)
        let results = [1, 2, 5].map { threads in
            let moments = SecondMoments(inputs: 130, outputs: 50, threads: threads)
            moments.add(x, t, rows: 700)
            return DoubleMatrixTests.bits(moments.gram) + DoubleMatrixTests.bits(moments.cross)
        }
        #expect(results[0] == results[1] && results[0] == results[2])
    }
}
