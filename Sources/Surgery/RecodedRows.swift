internal import Checkpoints
internal import Formats
internal import Kernels

/// The rows of a tensor in another element type, by way of f32: a cast or a quantization.
struct RecodedRows: RowSource {
    let source: Tensor
    let dtype: DType

    var description: String { "\(source.dtype) to \(dtype) of \(source.recipe)" }

    func write(
        rows: Range<Int>, into output: UnsafeMutableRawBufferPointer
    ) throws(CheckpointError) {
        let count = rows.count * source.rowLength
        try source.withBytes(rows: rows) { (bytes) throws(CheckpointError) in
            if dtype == .f32 {
                let values = output.bindMemory(to: Float.self)
                guard let base = values.baseAddress else { return }
                Codec.decode(source.dtype, bytes, count: count, into: base)
                return
            }
            let values = UnsafeMutablePointer<Float>.allocate(capacity: count)
            defer { values.deallocate() }
            Codec.decode(source.dtype, bytes, count: count, into: values)
            Codec.encode(dtype, values, rows: rows.count, rowLength: source.rowLength, into: output)
        }
    }
}

extension Tensor {
    /// The tensor in another element type; itself when it has that type already.
    ///
    /// - Throws: when no kernel decodes the one or encodes the other.
    func recoded(as dtype: DType, file: String) throws(CheckpointError) -> Tensor {
        if dtype == self.dtype { return self }
        guard Codec.decodes(self.dtype) else {
            throw CheckpointError(
                file: file, tensor: name, "has the type \(self.dtype), which cannot be decoded",
                hint: "types that can: \(DType.all.filter(Codec.decodes).map(\.name).joined(separator: " "))")
        }
        guard Codec.encodes(dtype) else {
            throw CheckpointError(
                file: file, tensor: name, "cannot be encoded as \(dtype)",
                hint: "types that can: \(DType.all.filter(Codec.encodes).map(\.name).joined(separator: " "))")
        }
        return Tensor(
            name: name, dtype: dtype, shape: shape,
            recipe: .computed(RecodedRows(source: self, dtype: dtype)))
    }
}
