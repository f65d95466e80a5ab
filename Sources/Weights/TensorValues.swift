package import Checkpoints
internal import Kernels

/// The values of tensors in f32. All of these need a type that `Codec.decodes`.
extension Tensor {
    /// How many values are in memory at once where a tensor is read from end to end; whole blocks of every type.
    package static let valuesAtOnce = 1 << 18

    /// Writes the values of some rows.
    package func writeValues(
        rows: Range<Int>, into output: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) {
        try writeValues(rows: rows, columns: 0..<rowLength, into: output)
    }

    /// Writes the values of some rows and columns, row after row.
    ///
    /// Only the columns are read, also behind casts, unpacking and orders of rows: transposed layouts ask for a few columns
    /// of all rows, again and again.
    package func writeValues(
        rows: Range<Int>, columns: Range<Int>, into output: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) {
        switch recipe {
        case .rows(let recipe, let order) where columns != 0..<rowLength:
            var source = self
            source.recipe = recipe
            for (index, row) in rows.enumerated() {
                let from = order.source(of: row)
                try source.writeValues(rows: from..<from + 1, columns: columns, into: output + index * columns.count)
            }
            return
        case .computed(let source as any ValueRows):
            if try source.writeValues(rows: rows, columns: columns, into: output) { return }
        default: break
        }
        let length = rowLength
        try withBytes(rows: rows) { bytes in
            if columns == 0..<length { return dtype.decode(bytes, elements: 0..<rows.count * length, into: output) }
            for row in 0..<rows.count {
                let elements = row * length + columns.lowerBound..<row * length + columns.upperBound
                dtype.decode(bytes, elements: elements, into: output + row * columns.count)
            }
        }
    }

    /// Writes the values of some elements, counted over the whole tensor: for layouts whose blocks ignore rows.
    package func writeValues(
        elements: Range<Int>, into output: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) {
        guard !elements.isEmpty else { return }
        let length = rowLength
        let rows = elements.lowerBound / length..<(elements.upperBound - 1) / length + 1
        let skipped = elements.lowerBound - rows.lowerBound * length
        try withBytes(rows: rows) { bytes in
            dtype.decode(bytes, elements: skipped..<skipped + elements.count, into: output)
        }
    }

    /// Calls `body` with the values of some elements in order, `valuesAtOnce` in each call but the last.
    package func forEachValues(
        of elements: Range<Int>, _ body: (UnsafeMutablePointer<Float>, Range<Int>) throws(CheckpointError) -> Void
    ) throws(CheckpointError) {
        let step = Tensor.valuesAtOnce
        let values = Scratch(floats: min(step, elements.count))
        for start in stride(from: elements.lowerBound, to: elements.upperBound, by: step) {
            let part = start..<min(start + step, elements.upperBound)
            try writeValues(elements: part, into: values.floats)
            try body(values.floats, part)
        }
    }

    /// All values of a small tensor, such as a bias.
    package func floats() throws(CheckpointError) -> [Float] {
        let values = Scratch(floats: count)
        try writeValues(rows: 0..<rowCount, into: values.floats)
        return Array(UnsafeBufferPointer(start: values.floats, count: count))
    }
}
