internal import Checkpoints
internal import Formats
internal import Kernels
internal import Weights

/// Low-rank changes of all experts of a layer, and the stacks that adapters store them in.
///
/// An expert without a change has zeros, and so do ranks that only other experts have.
struct ExpertMatrices: Sendable {
    /// The low-rank change of some outputs of an expert.
    struct Block: Sendable {
        /// A, [ranks, inputs].
        let a: Tensor
        /// B, [outputs, ranks].
        let b: Tensor
        /// The first of its ranks in the stack.
        var firstRank = 0
        /// The first of its outputs in the stack.
        var firstOutput = 0
        /// The factor of B.
        var factor: Float = 1

        /// Its ranks in the stack.
        var ranks: Range<Int> { firstRank..<firstRank + a.shape[0] }  // fits: ranks of the stack
        /// Its outputs in the stack.
        var outputs: Range<Int> { firstOutput..<firstOutput + b.shape[0] }  // fits: outputs of the stack
    }

    /// The changes of each expert. Blocks may share ranks where their A are the same.
    let blocks: [[Block]]
    /// Outputs of an expert.
    let outputs: Int
    /// Inputs of an expert.
    let inputs: Int
    /// The highest rank of an expert.
    let rank: Int
    /// The file that messages name.
    let file: String

    init(_ blocks: [[Block]], outputs: Int, inputs: Int, file: String) {
        self.blocks = blocks
        (self.outputs, self.inputs, self.file) = (outputs, inputs, file)
        rank = blocks.reduce(1) { $1.reduce($0) { max($0, $1.ranks.upperBound) } }
    }

    /// A of all experts as llama.cpp stores it, [experts, rank, inputs].
    func a(_ name: String) throws(CheckpointError) -> Tensor {
        try tensor(name, [blocks.count, rank, inputs], ExpertInputs(matrices: self), \.a)
    }

    /// B of all experts as llama.cpp stores it, [experts, outputs, rank].
    func b(_ name: String) throws(CheckpointError) -> Tensor {
        try tensor(name, [blocks.count, outputs, rank], ExpertOutputs(matrices: self, ranksAreOuter: false), \.b)
    }

    /// A as PEFT stores it, [experts * rank, inputs], sorted by expert.
    func joinedA(_ name: String) throws(CheckpointError) -> Tensor {
        try tensor(name, [blocks.count * rank, inputs], ExpertInputs(matrices: self), \.a)  // fits: rows of A
    }

    /// B as PEFT stores it, [outputs, rank * experts], sorted by rank.
    func joinedB(_ name: String) throws(CheckpointError) -> Tensor {
        let columns = rank * blocks.count  // fits: rows of A
        return try tensor(name, [outputs, columns], ExpertOutputs(matrices: self, ranksAreOuter: true), \.b)
    }

    /// A stack in the type that its matrices have in common.
    private func tensor(
        _ name: String, _ shape: [Int], _ rows: any F32Rows, _ matrix: KeyPath<Block, Tensor>
    ) throws(CheckpointError) -> Tensor {
        let all = blocks.joined()
        let type = all.first?[keyPath: matrix].dtype ?? .f32
        let isExact = all.allSatisfy { $0[keyPath: matrix].dtype == type && $0.factor == 1 }
        return try Tensor(name: name, dtype: .f32, shape: shape, recipe: .computed(rows))
            .recoded(as: isExact && !type.isQuantized && type.name != "F64" ? type : .f32, file: file)
    }
}

/// A of all experts, sorted by expert and rank.
private struct ExpertInputs: F32Rows {
    let matrices: ExpertMatrices

    var description: String { "A of \(matrices.blocks.count) experts" }

    var rowLength: Int { matrices.inputs }

    func writeValues(
        rows: Range<Int>, columns: Range<Int>, into output: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) -> Bool {
        var row = rows.lowerBound
        while row < rows.upperBound {
            let (expert, rank) = row.quotientAndRemainder(dividingBy: matrices.rank)
            let target = output + (row - rows.lowerBound) * columns.count
            guard let block = matrices.blocks[expert].first(where: { $0.ranks.contains(rank) }) else {
                target.update(repeating: 0, count: columns.count)
                row += 1
                continue
            }
            let first = rank - block.firstRank
            let count = min(block.a.shape[0] - first, rows.upperBound - row)
            try block.a.writeValues(rows: first..<first + count, columns: columns, into: target)
            row += count
        }
        return true
    }
}

/// B of all experts: a row for each output of each expert, or for each output with the ranks of all experts.
private struct ExpertOutputs: F32Rows {
    let matrices: ExpertMatrices
    /// Whether a row holds the ranks of all experts, sorted by rank.
    let ranksAreOuter: Bool

    var description: String { "B of \(matrices.blocks.count) experts" }

    var rowLength: Int { ranksAreOuter ? matrices.rank * matrices.blocks.count : matrices.rank }  // fits: rows of A

    func writeValues(
        rows: Range<Int>, columns: Range<Int>, into output: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) -> Bool {
        let length = rowLength, whole = Scratch(floats: rows.count * length)
        whole.floats.update(repeating: 0, count: rows.count * length)
        let height = matrices.outputs
        for (expert, blocks) in matrices.blocks.enumerated() {
            let start = ranksAreOuter ? 0 : expert * height  // fits: a row of the stack
            let (first, step) = ranksAreOuter ? (expert, matrices.blocks.count) : (0, 1)
            for block in blocks {
                let own = (block.outputs.lowerBound + start..<block.outputs.upperBound + start).clamped(to: rows)
                guard !own.isEmpty else { continue }
                let ranks = block.b.rowLength, values = Scratch(floats: own.count * ranks)
                let source = own.lowerBound - start - block.firstOutput
                try block.b.writeValues(rows: source..<source + own.count, into: values.floats)
                for index in 0..<own.count {
                    let target = whole.floats + (own.lowerBound - rows.lowerBound + index) * length + first
                    for rank in 0..<ranks {
                        target[(block.firstRank + rank) * step] = values.floats[index * ranks + rank] * block.factor
                    }
                }
            }
        }
        for row in 0..<rows.count {
            (output + row * columns.count).update(
                from: whole.floats + row * length + columns.lowerBound, count: columns.count)
        }
        return true
    }
}

/// B of one expert, some of the rows of PEFT's B of all experts, whose columns are sorted by rank.
struct ExpertColumns: F32Rows {
    /// B, [outputs, rank * experts].
    let joined: Tensor
    let expert: Int
    let experts: Int
    /// The first of its rows.
    let firstRow: Int

    var description: String { "B of expert \(expert) in \(joined.recipe)" }

    var rowLength: Int { joined.rowLength / experts }

    func writeValues(
        rows: Range<Int>, columns: Range<Int>, into output: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) -> Bool {
        let length = joined.rowLength, whole = Scratch(floats: rows.count * length)
        try joined.writeValues(
            rows: rows.lowerBound + firstRow..<rows.upperBound + firstRow, into: whole.floats)
        for row in 0..<rows.count {
            let source = whole.floats + row * length + expert
            for (index, column) in columns.enumerated() {
                output[row * columns.count + index] = source[column * experts]
            }
        }
        return true
    }
}
