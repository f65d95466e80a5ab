/// The sum of f32 values in PyTorch's order on one thread: four accumulators of eight lanes, cascaded through four
/// levels. With several threads PyTorch sums parts of a long array separately, and its own result differs.
struct CascadeSum {
    /// Every call of `add` except the last takes a multiple of this many values.
    static let stepCount = 32

    private let count: Int
    private let levelBits: Int
    private var levels = [[SIMD8<Float>]](repeating: .init(repeating: .zero, count: 4), count: 4)
    private var tail: [Float] = []
    private var steps = 0

    /// A sum over `count` values, none of which has been added yet.
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

    /// Adds the sums of a full level to the next level, and repeats while that is full too.
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

    /// Fewer values than eight lanes: four lanes side by side; the rest is added to the first.
    private var shortSum: Float {
        var four: [Float] = [0, 0, 0, 0]
        for (index, value) in tail.enumerated() { four[count >= 4 && index < 4 ? index : 0] += value }
        return four[0] + four[1] + four[2] + four[3]
    }
}
