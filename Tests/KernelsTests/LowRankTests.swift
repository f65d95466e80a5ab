import Kernels
import TestSupport
import Testing

@Suite("low-rank sums")
struct LowRankTests {
    /// Sizes around the tiles of the kernels: rows, columns, rank.
    static let sizes = [(1, 1, 1), (6, 16, 4), (7, 17, 3), (13, 50, 16), (5, 31, 65)]

    @Test("the sum is that of multiply-adds in the order of the ranks, on every instruction set", arguments: sizes)
    func sum(size: (rows: Int, columns: Int, rank: Int)) {
        var random = SeededGenerator(seed: 7)
        func values(_ count: Int) -> [Float] { (0..<count).map { _ in Float.random(in: -2...2, using: &random) } }
        let (rows, columns, rank) = size
        let stride = LowRankSum.stride(columns: columns), scale: Float = 0.7
        let base = values(rows * columns), left = values(rows * rank), right = values(rank * stride)
        var expected = base
        for row in 0..<rows {
            for column in 0..<columns {
                var sum: Float = 0
                for k in 0..<rank { sum.addProduct(left[row * rank + k], right[k * stride + column]) }
                expected[row * columns + column] += sum * scale
            }
        }
        for instructions in InstructionSet.available {
            var found = base
            LowRankSum.add(
                to: &found, rows: rows, columns: columns, left: left, right: right, rank: rank, scale: scale,
                by: instructions)
            #expect(found.map(\.bitPattern) == expected.map(\.bitPattern), "\(instructions)")
        }
    }

    @Test("a left side of zeros changes nothing, minus zero included")
    func nothing() {
        var values: [Float] = [-0.0, 1, -3]
        LowRankSum.add(
            to: &values, rows: 1, columns: 3, left: [0], right: [Float](repeating: 2, count: 16), rank: 1, scale: 1)
        #expect(values == [0, 1, -3])
    }
}
