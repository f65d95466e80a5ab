internal import Checkpoints
internal import Weights

/// A bias with other vectors added, each multiplied by a factor.
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

/// An embedding with some rows replaced by trained ones.
struct ReplacedRows: F32Rows {
    let base: Tensor
    let values: Tensor
    /// The row of `values` that replaces a row of the matrix, by the row of the matrix.
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
