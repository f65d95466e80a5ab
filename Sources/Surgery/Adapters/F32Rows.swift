internal import Checkpoints
internal import Weights

/// Computed rows whose type is F32: their bytes are their values.
protocol F32Rows: ValueRows {
    /// Elements in a row.
    var rowLength: Int { get }
}

extension F32Rows {
    func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        guard let values = output.bindMemory(to: Float.self).baseAddress else { return }
        _ = try writeValues(rows: rows, columns: 0..<rowLength, into: values)
    }
}
