internal import Checkpoints
internal import Formats
internal import Kernels

extension Tensor {
    /// Writes the values of some rows and columns in f32, row after row.
    ///
    /// Only the columns are read, also behind casts, unpacking and orders of rows: forms that lie turned round ask for a few
    /// columns of all rows, again and again.
    func writeValues(
        rows: Range<Int>, columns: Range<Int>, into output: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) {
        switch recipe {
        case .reordered(let recipe, let order) where columns != 0..<rowLength:
            var source = self
            source.recipe = recipe
            for (place, row) in rows.enumerated() {
                let from = order.source(of: row)
                try source.writeValues(rows: from..<from + 1, columns: columns, into: output + place * columns.count)
            }
        case .computed(let source as UnpackedRows) where source.dtype == .f32:
            try source.weight.writeValues(rows: rows, columns: columns, into: output)
        case .computed(let source as RecodedRows) where source.dtype.blockCount == 1 && source.source.shape == shape:
            let count = rows.count * columns.count
            try source.source.writeValues(rows: rows, columns: columns, into: output)
            if source.dtype != .f32 { source.dtype.round(output, count: count) }
        default: try decode(rows: rows, columns: columns, into: output)
        }
    }

    private func decode(
        rows: Range<Int>, columns: Range<Int>, into output: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) {
        let block = dtype.blockCount, length = rowLength
        let first = columns.lowerBound / block, last = (columns.upperBound + block - 1) / block
        let wide = first * block..<last * block
        let line = Scratch(floats: wide == columns ? 0 : wide.count)
        try withBytes(rows: rows) { bytes in
            if columns == 0..<length {
                return Codec.decode(dtype, bytes, count: rows.count * length, into: output)
            }
            let rowByteCount = rowByteCount, size = dtype.blockByteCount
            for row in 0..<rows.count {
                let start = row * rowByteCount + first * size
                let source = UnsafeRawBufferPointer(rebasing: bytes[start..<start + (last - first) * size])
                let target = output + row * columns.count
                if wide == columns {
                    Codec.decode(dtype, source, count: columns.count, into: target)
                } else {
                    Codec.decode(dtype, source, count: wide.count, into: line.floats)
                    target.update(from: line.floats + columns.lowerBound - wide.lowerBound, count: columns.count)
                }
            }
        }
    }
}

extension DType {
    /// Rounds values to what the type holds.
    fileprivate func round(_ values: UnsafeMutablePointer<Float>, count: Int) {
        let held = Scratch(byteCount: count * blockByteCount)
        let bytes = UnsafeMutableRawBufferPointer(start: held.base, count: count * blockByteCount)
        Codec.encode(self, values, rows: 1, rowLength: count, into: bytes)
        Codec.decode(self, UnsafeRawBufferPointer(bytes), count: count, into: values)
    }
}
