package import Checkpoints
internal import Kernels

/// A matrix whose rows are the columns of another one: GGUF stores A of an embedding as [rows, rank].
struct TransposedRows: ValueRows {
    /// A matrix whose elements have whole bytes.
    let source: Tensor

    var description: String { "columns of \(source.recipe)" }

    /// Rows that are computed together, because each call reads the whole source.
    var rowsTogether: Int { 64 }

    /// Rows of the source that are in memory at once.
    private static let rowsAtOnce = 4096

    func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        let width = source.dtype.blockByteCount, length = source.rowByteCount, count = source.rowCount
        for start in stride(from: 0, to: count, by: TransposedRows.rowsAtOnce) {
            let part = start..<min(start + TransposedRows.rowsAtOnce, count)
            try source.withBytes(rows: part) { bytes in
                for (index, row) in rows.enumerated() {
                    for item in part {
                        let from = (item - start) * length + row * width  // fits: a part of the source
                        let target = (index * count + item) * width  // fits: a part of the output
                        output[target..<target + width].copyBytes(from: bytes[from..<from + width])
                    }
                }
            }
        }
    }

    func writeValues(
        rows: Range<Int>, columns: Range<Int>, into output: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) -> Bool {
        let values = Scratch(floats: rows.count * columns.count)
        try source.writeValues(rows: columns, columns: rows, into: values.floats)
        for row in 0..<rows.count {
            for column in 0..<columns.count {
                output[row * columns.count + column] = values.floats[column * rows.count + row]
            }
        }
        return true
    }
}

extension Tensor {
    /// The matrix with its rows as columns.
    ///
    /// - Precondition: it has two dimensions, and its elements have whole bytes.
    package func transposed() -> Tensor {
        precondition(shape.count == 2 && dtype.blockCount == 1, "\(name) of \(dtype) and \(shape) is no plain matrix")
        if case .computed(let rows as TransposedRows) = recipe {
            var source = rows.source
            source.name = name
            return source
        }
        return Tensor(
            name: name, dtype: dtype, shape: shape.reversed(), recipe: .computed(TransposedRows(source: self)))
    }
}
