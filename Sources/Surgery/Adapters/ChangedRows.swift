internal import Checkpoints
internal import Weights

/// A vector with others added, each with a factor: a bias.
struct AddedRows: F32Rows {
    let base: Tensor
    let added: [(values: Tensor, factor: Float)]

    var description: String { "\(base.recipe) with \(added.map(\.values.name).joined(separator: ", ")) added" }

    var rowLength: Int { base.rowLength }

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
struct ReplacedRows: F32Rows {
    let base: Tensor
    let values: Tensor
    /// Which row of `values` stands in a row of the matrix.
    let rows: [Int: Int]

    var description: String { "\(base.recipe) with \(rows.count) rows of \(values.recipe)" }

    var rowLength: Int { base.rowLength }

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
