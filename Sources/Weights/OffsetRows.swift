package import Checkpoints
internal import Kernels

/// A tensor with a number added to every value, in f32.
struct OffsetRows: ValueRows {
    let source: Tensor
    let amount: Float

    var description: String { "\(amount) added to \(source.recipe)" }

    func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        guard let values = output.bindMemory(to: Float.self).baseAddress else { return }
        _ = try writeValues(rows: rows, columns: 0..<source.rowLength, into: values)
    }

    func writeValues(
        rows: Range<Int>, columns: Range<Int>, into output: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) -> Bool {
        try source.writeValues(rows: rows, columns: columns, into: output)
        if amount != 0 { for index in 0..<rows.count * columns.count { output[index] += amount } }
        return true
    }
}

extension Tensor {
    /// The tensor with a number added to every value, in f32; with 0 its values.
    ///
    /// - Throws: when its type cannot be decoded.
    package func adding(_ amount: Float, file: String) throws(CheckpointError) -> Tensor {
        guard Codec.decodes(dtype) else {
            throw CheckpointError(file: file, tensor: name, "has the type \(dtype), which cannot be decoded")
        }
        return Tensor(
            name: name, dtype: .f32, shape: shape, recipe: .computed(OffsetRows(source: self, amount: amount)))
    }
}
