internal import Checkpoints
internal import Weights

/// A vector with others added, each with a factor: a bias.
struct AddedRows: ValueRows {
    let base: Tensor
    let added: [(values: Tensor, factor: Float)]

    var description: String { "\(base.recipe) with \(added.map(\.values.name).joined(separator: ", ")) added" }

    func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        guard let values = output.bindMemory(to: Float.self).baseAddress else { return }
        _ = try writeValues(rows: rows, columns: 0..<base.rowLength, into: values)
    }

    func writeValues(
        rows: Range<Int>, columns: Range<Int>, into output: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) -> Bool {
        try base.writeValues(rows: rows, columns: columns, into: output)
        for (values, factor) in added {
            let other = try values.floats()
            for (index, column) in columns.enumerated() { output[index] += other[column] * factor }
        }
        return true
    }
}

/// A matrix some of whose rows are those of another one: trained tokens of an embedding.
struct ReplacedRows: ValueRows {
    let base: Tensor
    let values: Tensor
    /// Which row of `values` stands in a row of the matrix.
    let rows: [Int: Int]

    var description: String { "\(base.recipe) with \(rows.count) rows of \(values.recipe)" }

    func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        guard let values = output.bindMemory(to: Float.self).baseAddress else { return }
        _ = try writeValues(rows: rows, columns: 0..<base.rowLength, into: values)
    }

    func writeValues(
        rows: Range<Int>, columns: Range<Int>, into output: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) -> Bool {
        try base.writeValues(rows: rows, columns: columns, into: output)
        for (index, row) in rows.enumerated() {
            guard let other = self.rows[row] else { continue }
            try values.writeValues(rows: other..<other + 1, columns: columns, into: output + index * columns.count)
        }
        return true
    }
}
