internal import Checkpoints
internal import Kernels
internal import Weights

/// One side of a low-rank product, [length, rank] or [rank, length]: a weighted sum of stored matrices.
struct ThinMatrix: Sendable {
    /// A stored matrix, or a part of one.
    struct Term: Sendable {
        /// The matrix.
        let tensor: Tensor
        /// Whether its rows are ranks; else its columns are.
        let ranksAreRows: Bool
        /// Where the first rank lies, and how far apart ranks are: adapters of experts hold those of all experts.
        var firstRank = 0
        var rankStep = 1
        /// Where the long side begins: a fused weight is stored in several tensors.
        var offset = 0
        /// What its values are multiplied with, one after the other.
        var factors: [Float] = []
    }

    /// What is added up, in this order.
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
    ///   - stride: how far rows of the output lie apart.
    func write(
        _ range: Range<Int>, asRows: Bool, into output: UnsafeMutablePointer<Float>, stride: Int
    ) throws(CheckpointError) {
        let count = range.count
        for (index, term) in terms.enumerated() {
            let part = range.lowerBound + term.offset..<range.upperBound + term.offset
            let values = try term.values(part, ranks: 0..<rank)
            let source = values.floats
            for factor in term.factors {
                for element in 0..<count * rank { source[element] *= factor }
            }
            // Lines of the output: items where the long side runs over rows, else ranks.
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

extension ThinMatrix.Term {
    /// The values of a part of the long side: [ranks, part] where ranks are rows, else [part, ranks].
    fileprivate func values(_ part: Range<Int>, ranks: Range<Int>) throws(CheckpointError) -> Scratch {
        let result = Scratch(floats: part.count * ranks.count)
        if ranksAreRows, rankStep == 1 {
            try tensor.writeValues(
                rows: firstRank..<firstRank + ranks.count, columns: part, into: result.floats)
        } else if ranksAreRows {
            for k in ranks {
                let row = firstRank + k * rankStep
                try tensor.writeValues(
                    rows: row..<row + 1, columns: part, into: result.floats + k * part.count)
            }
        } else if rankStep == 1 {
            try tensor.writeValues(
                rows: part, columns: firstRank..<firstRank + ranks.count, into: result.floats)
        } else {
            let length = tensor.rowLength
            let whole = Scratch(floats: part.count * length)
            try tensor.writeValues(rows: part, into: whole.floats)
            let (source, target) = (whole.floats, result.floats)
            for item in 0..<part.count {
                for k in ranks { target[item * ranks.count + k] = source[item * length + firstRank + k * rankStep] }
            }
        }
        return result
    }
}
