package import Checkpoints
internal import Weights

/// A tensor with every value multiplied, in f32.
struct ScaledRows: ValueRows {
    let source: Tensor
    let factor: Float

    var description: String { "\(factor) times \(source.recipe)" }

    func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        guard let values = output.bindMemory(to: Float.self).baseAddress else { return }
        _ = try writeValues(rows: rows, columns: 0..<source.rowLength, into: values)
    }

    func writeValues(
        rows: Range<Int>, columns: Range<Int>, into output: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) -> Bool {
        try source.writeValues(rows: rows, columns: columns, into: output)
        for index in 0..<rows.count * columns.count { output[index] *= factor }
        return true
    }
}

extension Tensor {
    /// The tensor with every value multiplied, in f32.
    package func multiplied(by factor: Float) -> Tensor {
        Tensor(name: name, dtype: .f32, shape: shape, recipe: .computed(ScaledRows(source: self, factor: factor)))
    }
}
