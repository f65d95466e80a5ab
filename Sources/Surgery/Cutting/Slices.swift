internal import Checkpoints
internal import Formats

/// Columns of a matrix, in order.
struct ColumnSlices: RowSource {
    /// The whole matrix.
    let source: Tensor
    /// The column ranges, aligned to blocks.
    let columns: [Range<Int>]

    var description: String { "columns \(columns.words) of \(source.recipe)" }

    func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        let block = source.dtype.blockCount, size = source.dtype.blockByteCount, rowByteCount = source.rowByteCount
        try source.withBytes(rows: rows) { bytes in
            var end = 0
            for row in 0..<rows.count {
                for range in columns {
                    let start = row * rowByteCount + range.lowerBound / block * size
                    let part = UnsafeRawBufferPointer(rebasing: bytes[start..<start + range.count / block * size])
                    UnsafeMutableRawBufferPointer(rebasing: output[end..<end + part.count]).copyMemory(from: part)
                    end += part.count
                }
            }
        }
    }
}

/// Rows of a tensor, in order.
struct RowSlices: RowSource {
    /// The whole tensor.
    let source: Tensor
    /// The row ranges.
    let rows: [Range<Int>]

    var description: String { "rows \(rows.words) of \(source.recipe)" }

    func write(rows wanted: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        var first = 0, end = 0
        for range in self.rows {
            // The requested rows in this range, as rows of the source.
            let part = wanted.clamped(to: first..<first + range.count)
            let moved = range.lowerBound - first
            first += range.count
            guard !part.isEmpty else { continue }
            try source.withBytes(rows: part.lowerBound + moved..<part.upperBound + moved) { bytes in
                UnsafeMutableRawBufferPointer(rebasing: output[end..<end + bytes.count]).copyMemory(from: bytes)
                end += bytes.count
            }
        }
    }
}

extension [Range<Int>] {
    /// `0..<16 and 32..<48`
    fileprivate var words: String { map { "\($0.lowerBound)..<\($0.upperBound)" }.joined(separator: " and ") }
}
