package import Checkpoints
internal import Kernels

/// A tensor plus or times a constant, in f32.
struct ElementwiseRows: ValueRows {
    /// The operation on every value.
    enum Change {
        case adding(Float)
        case multiplying(Float)
    }

    let source: Tensor
    let change: Change

    var description: String {
        switch change {
        case .adding(let amount): "\(amount) added to \(source.recipe)"
        case .multiplying(let factor): "\(factor) times \(source.recipe)"
        }
    }

    func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        guard let values = output.bindMemory(to: Float.self).baseAddress else { return }
        _ = try writeValues(rows: rows, columns: 0..<source.rowLength, into: values)
    }

    func writeValues(
        rows: Range<Int>, columns: Range<Int>, into output: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) -> Bool {
        try source.writeValues(rows: rows, columns: columns, into: output)
        let count = rows.count * columns.count
        switch change {
        // Adding 0 would change the sign of a negative zero.
        case .adding(let amount): if amount != 0 { for index in 0..<count { output[index] += amount } }
        case .multiplying(let factor): for index in 0..<count { output[index] *= factor }
        }
        return true
    }
}

extension Tensor {
    /// The tensor with a number added to every value, in f32. Adding 0 only decodes it.
    ///
    /// - Throws: when its type cannot be decoded.
    package func adding(_ amount: Float, file: String) throws(CheckpointError) -> Tensor {
        guard Codec.decodes(dtype) else {
            throw CheckpointError(file: file, tensor: name, "has the type \(dtype), which cannot be decoded")
        }
        return changed(.adding(amount))
    }

    /// The tensor with every value multiplied, in f32.
    package func multiplied(by factor: Float) -> Tensor { changed(.multiplying(factor)) }

    private func changed(_ change: ElementwiseRows.Change) -> Tensor {
        Tensor(
            name: name, dtype: .f32, shape: shape, recipe: .computed(ElementwiseRows(source: self, change: change)))
    }
}
