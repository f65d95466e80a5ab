public import Checkpoints
internal import Formats
internal import Kernels

extension Quantize {
    /// A weight in its new type, as the settings want it; itself when it has that type already.
    ///
    /// - Throws: when it is quantized in another way already, or its importance is that of another model.
    func recoded(_ tensor: Tensor, as dtype: DType, file: String) throws(CheckpointError) -> Tensor {
        if tensor.dtype == dtype { return tensor }
        if dtype.isQuantized, !settings.allowsRequantize, Codec.decodes(tensor.dtype),
            let before = tensor.quantizedSource
        {
            throw CheckpointError(
                file: file, tensor: tensor.name,
                "is quantized already, as \(before); what \(dtype) makes of it is worse than of the original",
                hint: "quantize the original, or say --allow-requantize")
        }
        return try tensor.recoded(
            as: dtype, file: file, importance: try settings.importance?.entry(for: tensor),
            refusesNonfinite: !settings.allowsNonfinite)
    }

    /// Holds the importance matrix against a checkpoint and what becomes of it: it must be that of the model, and of use.
    ///
    /// - Returns: the tensors that would be encoded by importance, but were not measured; none without a matrix.
    public func unmeasured(
        from checkpoint: Checkpoint, to result: Checkpoint
    ) throws(CheckpointError) -> [String] {
        guard let importance = settings.importance else { return [] }
        let weighted = zip(checkpoint.tensors, result.tensors).filter { before, after in
            before.dtype != after.dtype && Codec.usesImportance(after.dtype)
        }
        if weighted.isEmpty {
            throw CheckpointError(
                file: importance.matrix.path, "is of no use: no tensor becomes of a type that looks at importance",
                hint: "leave out --imatrix")
        }
        try importance.check(checkpoint)
        var names: [String] = []
        for (tensor, _) in weighted where try importance.entry(for: tensor) == nil { names.append(tensor.name) }
        if names.count == weighted.count {
            throw CheckpointError(
                file: importance.matrix.path, "has no entry for any tensor of \(checkpoint.path)",
                hint: "the importance matrix is of another model")
        }
        return names
    }
}
