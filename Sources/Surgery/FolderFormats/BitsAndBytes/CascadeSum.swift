/// The sum of a run of f32 as PyTorch computes it on one thread: four vectors of eight side by side, whose sums go up
/// through four levels. On several threads PyTorch adds up parts of long runs, and disagrees with itself.
struct CascadeSum {
    /// Every call of `add` but the last takes a multiple of this many values.
    static let stepCount = 32

    private let count: Int
    private let levelBits: Int
    private var levels = [[SIMD8<Float>]](repeating: .init(repeating: .zero, count: 4), count: 4)
    private var tail: [Float] = []
    private var steps = 0

    /// A sum of `count` values that are still to come.
    init(count: Int) {
        self.count = count
        let steps = count / CascadeSum.stepCount
        let bits = steps <= 1 ? 0 : Int.bitWidth - (steps - 1).leadingZeroBitCount
        levelBits = max(4, bits / 4)
    }

    /// Adds the next values.
    mutating func add(_ values: UnsafeBufferPointer<Float>) {
        precondition(tail.isEmpty)
        let whole = values.count / CascadeSum.stepCount
        for step in 0..<whole {
            for vector in 0..<4 {
                let start = step * CascadeSum.stepCount + vector * 8
                levels[0][vector] += SIMD8((0..<8).map { values[start + $0] })
            }
            steps += 1
            if steps & ((1 << levelBits) - 1) == 0 { carry() }
        }
        tail = Array(values[(whole * CascadeSum.stepCount)...])
    }

    /// The sums of a level that is full go to the next one, and so on while that is full too.
    private mutating func carry() {
        for level in 1..<4 {
            for vector in 0..<4 {
                levels[level][vector] += levels[level - 1][vector]
                levels[level - 1][vector] = .zero
            }
            if steps & (((1 << levelBits) - 1) << (level * levelBits)) != 0 { return }
        }
    }

    /// The sum of all values.
    var sum: Float {
        precondition(steps * CascadeSum.stepCount + tail.count == count)
        if count < 8 { return shortSum }
        var vectors = levels[0]
        for level in 1..<4 {
            for vector in 0..<4 { vectors[vector] += levels[level][vector] }
        }
        for start in stride(from: 0, to: tail.count / 8 * 8, by: 8) {
            vectors[0] += SIMD8((0..<8).map { tail[start + $0] })
        }
        let lanes = vectors[0] + vectors[1] + vectors[2] + vectors[3]
        var sum: Float = 0
        for value in tail[(tail.count / 8 * 8)...] { sum += value }
        for lane in 0..<8 { sum += lanes[lane] }
        return sum
    }

    /// Fewer values than a vector has: four side by side, the others behind the first.
    private var shortSum: Float {
        var four: [Float] = [0, 0, 0, 0]
        for (index, value) in tail.enumerated() { four[count >= 4 && index < 4 ? index : 0] += value }
        return four[0] + four[1] + four[2] + four[3]
    }
}
