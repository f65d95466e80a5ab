internal import Checkpoints
internal import Kernels
internal import Weights

/// One side of a low-rank product, [length, rank] or [rank, length]: a weighted sum of stored matrices.
struct ThinMatrix: Sendable {
    /// A matrix of an adapter.
    struct Term: Sendable {
        /// The matrix.
        let tensor: Tensor
        /// Whether its rows are ranks; else its columns are.
        let ranksAreRows: Bool
        /// Factors of its values, applied one after the other.
        var factors: [Float] = []
    }

    /// The terms of the sum, in the order in which they are added.
    let terms: [Term]
    /// How many ranks it has.
    let rank: Int

    /// A sum of matrices of one rank.
    init(_ terms: [Term], rank: Int) {
        self.terms = terms
        self.rank = rank
    }

    /// Writes a range of the long side as rows or as columns of `output`.
    ///
    /// - Parameters:
    ///   - asRows: whether the long side runs over the rows of the output, [range, rank]; else over its columns.
    ///   - stride: the distance between rows of the output, in elements.
    func write(
        _ range: Range<Int>, asRows: Bool, into output: UnsafeMutablePointer<Float>, stride: Int
    ) throws(CheckpointError) {
        let count = range.count
        for (index, term) in terms.enumerated() {
            let values = Scratch(floats: count * rank), source = values.floats
            if term.ranksAreRows {
                try term.tensor.writeValues(rows: 0..<rank, columns: range, into: source)
            } else {
                try term.tensor.writeValues(rows: range, columns: 0..<rank, into: source)
            }
            for factor in term.factors {
                for element in 0..<count * rank { source[element] *= factor }
            }
            // A line of the output is one item of the long side when `asRows`, else one rank.
            let (lines, length) = asRows ? (count, rank) : (rank, count)
            let (lineStep, step) = term.ranksAreRows == asRows ? (1, lines) : (length, 1)
            for line in 0..<lines {
                let target = output + line * stride, start = source + line * lineStep
                if index > 0 {
                    for element in 0..<length { target[element] += start[element * step] }
                } else if step == 1 {
                    target.update(from: start, count: length)
                } else {
                    for element in 0..<length { target[element] = start[element * step] }
                }
            }
        }
    }
}
