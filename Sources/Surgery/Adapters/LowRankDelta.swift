internal import Checkpoints
internal import Kernels

/// What adapters add to a weight: `scale * (left_1 right_1 + left_2 right_2 + …)`, with left sides [rows, rank] and
/// right sides [rank, columns]. Several parts are computed as one product whose ranks follow each other.
struct LowRankDelta: Sendable {
    /// Two matrices of the same rank.
    struct Part: Sendable {
        /// [rows, rank].
        var left: ThinMatrix
        /// [rank, columns].
        var right: ThinMatrix
    }

    var parts: [Part]
    /// The factor of the whole product.
    var scale: Float

    /// The sum of all ranks.
    var rank: Int { parts.reduce(0) { $0 + $1.left.rank } }

    /// Adds the product to values.
    ///
    /// - Parameter values: [rows, columns] of the weight, contiguous.
    func add(
        to values: UnsafeMutablePointer<Float>, rows: Range<Int>, columns: Range<Int>
    ) throws(CheckpointError) {
        let rank = rank, stride = LowRankSum.stride(columns: columns.count)
        let left = Scratch(floats: rows.count * rank), right = Scratch(floats: rank * stride)
        var first = 0
        for part in parts {
            try part.left.write(rows, asRows: true, into: left.floats + first, stride: rank)
            try part.right.write(columns, asRows: false, into: right.floats + first * stride, stride: stride)
            first += part.left.rank
        }
        LowRankSum.add(
            to: values, rows: rows.count, columns: columns.count, left: left.floats, right: right.floats, rank: rank,
            scale: scale)
    }

    /// The squared Frobenius norm of the product, from the inner products of its sides.
    ///
    /// - Parameters:
    ///   - rows: rows of the weight.
    ///   - columns: columns of the weight.
    func squaredNorm(rows: Int, columns: Int) throws(CheckpointError) -> Double {
        let rank = rank
        let products = [rows, columns].map { _ in Scratch(byteCount: rank * rank * MemoryLayout<Double>.size) }
        for (side, length) in [rows, columns].enumerated() {
            let sums = products[side].base.bindMemory(to: Double.self, capacity: rank * rank)
            for index in 0..<rank * rank { sums[index] = 0 }
            for start in stride(from: 0, to: length, by: LowRankDelta.lengthAtOnce) {
                let range = start..<min(start + LowRankDelta.lengthAtOnce, length)
                let buffer = Scratch(floats: range.count * rank), values = buffer.floats
                var first = 0
                for part in parts {
                    try (side == 0 ? part.left : part.right).write(
                        range, asRows: true, into: values + first, stride: rank)
                    first += part.left.rank
                }
                for item in 0..<range.count {
                    let row = values + item * rank
                    for k in 0..<rank {
                        let value = Double(row[k]), line = sums + k * rank
                        for l in 0...k { line[l] += value * Double(row[l]) }
                    }
                }
            }
        }
        let (left, right) = (products[0], products[1])
        let (a, b) = (
            left.base.assumingMemoryBound(to: Double.self), right.base.assumingMemoryBound(to: Double.self)
        )
        var sum = 0.0
        for k in 0..<rank {
            for l in 0...k { sum += (k == l ? 1 : 2) * a[k * rank + l] * b[k * rank + l] }
        }
        return withExtendedLifetime(products) { max(0, sum) * Double(scale) * Double(scale) }
    }

    /// Rows or columns that are in memory at once.
    private static let lengthAtOnce = 4096
}
