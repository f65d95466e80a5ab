internal import Checkpoints
internal import Kernels
internal import Weights

/// B of a stack of experts whose outputs are those of several modules: for each expert a matrix with the parts' own matrices
/// on its diagonal, and zeros elsewhere.
struct StackedParts: ValueRows {
    /// B of the parts, [experts, outputs, rank], with their numbers.
    let parts: [(index: Int, b: Tensor)]
    /// The number of parts that have outputs in the stack.
    let count: Int
    /// The outputs of one part.
    let outputs: Int

    var description: String { "the diagonal of " + parts.map { "\($0.b.recipe)" }.joined(separator: ", ") }

    private var rank: Int { parts.reduce(0) { $0 + $1.b.rowLength } }  // fits: both are in memory for a row

    func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        guard let values = output.bindMemory(to: Float.self).baseAddress else { return }
        _ = try writeValues(rows: rows, columns: 0..<rank, into: values)
    }

    func writeValues(
        rows: Range<Int>, columns: Range<Int>, into output: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) -> Bool {
        let rank = rank, whole = Scratch(floats: rank)
        for (index, row) in rows.enumerated() {
            let (expert, inner) = row.quotientAndRemainder(dividingBy: count * outputs)
            for column in 0..<rank { whole.floats[column] = 0 }
            var first = 0
            for part in parts {
                if part.index == inner / outputs {
                    let source = expert * outputs + inner % outputs  // fits: a row of the part
                    try part.b.writeValues(rows: source..<source + 1, into: whole.floats + first)
                }
                first += part.b.rowLength
            }
            for (offset, column) in columns.enumerated() {
                output[index * columns.count + offset] = whole.floats[column]
            }
        }
        return true
    }
}
