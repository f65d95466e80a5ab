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
    /// Reads only these columns, even through casts, unpacking and reordered rows, because transposed layouts ask for a
    /// few columns of all rows many times.
    package func writeValues(
        rows: Range<Int>, columns: Range<Int>, into output: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) {
        switch recipe {
        case .rows(let recipe, let order) where columns != 0..<rowLength || recipe.givesValues:
            var source = self
            source.recipe = recipe
            return try source.writeValues(rows: rows.map(order.source(of:)), columns: columns, into: output)
        case .joined(let join) where recipe.givesValues:
            var start = 0
            for (part, rows) in join.runs(rows) {
                var source = self
                source.recipe = part.recipe
                try source.writeValues(rows: rows, columns: columns, into: output + start * columns.count)
                start += rows.count
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

    /// Writes the values of single rows. Neighbouring rows are computed together.
    private func writeValues(
        rows: [Int], columns: Range<Int>, into output: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) {
        guard let first = rows.min(), let last = rows.max() else { return }
        let width = columns.count
        guard recipe.givesValues, rows.count > 1, last - first < 4 * rows.count else {
            for (index, row) in rows.enumerated() {
                try writeValues(rows: row..<row + 1, columns: columns, into: output + index * width)
            }
            return
        }
        let values = Scratch(floats: (last - first + 1) * width)
        try writeValues(rows: first..<last + 1, columns: columns, into: values.floats)
        let source = values.floats
        for (index, row) in rows.enumerated() {
            (output + index * width).update(from: source + (row - first) * width, count: width)
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
        if recipe.givesValues {
            let values = Scratch(floats: rows.count * length)
            try writeValues(rows: rows, into: values.floats)
            return output.update(from: values.floats + skipped, count: elements.count)
        }
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

extension Recipe {
    /// Whether rows are computed as f32 values, which may be finer than the bytes of their type.
    fileprivate var givesValues: Bool {
        switch self {
        case .mapped, .archived: false
        case .rows(let source, _): source.givesValues
        case .joined(let join): join.parts.contains { $0.recipe.givesValues }
        case .computed(let source): source is any ValueRows
        }
    }
}
