import Checkpoints
import Testing
import TestSupport
import Analysis

@Suite("angular distance")
struct DistanceTests {
    private static func distance(_ u: [Float], _ v: [Float]) -> Double {
        let states = UnitStates(layers: 1, rows: 1, hidden: u.count)
        states.set(layer: 0, row: 0, u)
        states.set(layer: 1, row: 0, v)
        return PairSums.distance(states.state(layer: 0, row: 0), states.state(layer: 1, row: 0), u.count)
    }

    static let sizes = [1, 2, 3, 7, 8, 15, 16, 17, 64, 255, 256, 1000]

    @Test("a state is at distance 0 of itself, 1 of its opposite, and all is symmetric", arguments: sizes)
    func ends(size: Int) {
        var random = SeededGenerator(seed: UInt64(size))
        let (u, v) = (random.floats(size), random.floats(size))
        #expect(DistanceTests.distance(u, u) == 0)
        #expect(DistanceTests.distance(u, u.map { -$0 }) == 1)
        #expect(DistanceTests.distance(u, v) == DistanceTests.distance(v, u))
        #expect(abs(DistanceTests.distance(u, v) + DistanceTests.distance(u, v.map { -$0 }) - 1) < 1e-6)
    }

    @Test("the lengths of the states do not count", arguments: [1e-30, 1e-6, 3, 1e6, 1e30] as [Float])
    func scale(factor: Float) {
        var random = SeededGenerator(seed: 5)
        let (u, v) = (random.floats(300), random.floats(300))
        let plain = DistanceTests.distance(u, v)
        #expect(abs(DistanceTests.distance(u.map { $0 * factor }, v) - plain) < 1e-7)
        #expect(abs(DistanceTests.distance(u, v.map { $0 * factor }) - plain) < 1e-7)
        #expect(DistanceTests.distance(u, u.map { $0 * factor }) < 1e-7)
    }

    @Test("right angles are a half", arguments: [2, 4, 64, 256])
    func rightAngles(size: Int) {
        var (u, v) = (Array(repeating: Float(0), count: size), Array(repeating: Float(0), count: size))
        (u[0], v[size - 1]) = (3, 0.1)
        #expect(abs(DistanceTests.distance(u, v) - 0.5) < 1e-15)
    }

    /// The arc cosine of an f32 cosine gives 0 for all of these but the first.
    @Test("small angles keep their digits", arguments: [1e-2, 1e-3, 1e-4, 1e-5] as [Double])
    func smallAngles(angle: Double) {
        let u: [Float] = [1, 0, 0, 0]
        let v: [Float] = [1, Float(angle), 0, 0]
        let expected = angle / .pi
        #expect(abs(DistanceTests.distance(u, v) - expected) < 1e-4 * expected)
        #expect(abs(1 - DistanceTests.distance(u, v.map { -$0 }) - expected) < 1e-4 * expected)
    }

    @Test("means over rows are the same for every number of threads")
    func threads() {
        var random = SeededGenerator(seed: 9)
        let states = UnitStates(layers: 3, rows: 29, hidden: 40)
        for layer in 0...3 { states.set(layer: layer, random.floats(29 * 40), threads: 1) }
        var tables: [[[Double]]] = []
        for threads in 1...3 {
            var sums = PairSums(layers: 3)
            sums.add(states, threads: threads)
            tables.append(sums.means())
        }
        #expect(tables[0] == tables[1] && tables[0] == tables[2])
        for l in 0...3 {
            #expect(tables[0][l][l] == 0)
            for m in 0...3 { #expect(tables[0][l][m] == tables[0][m][l]) }
        }
    }
}
