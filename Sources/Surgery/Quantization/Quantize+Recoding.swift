public import Checkpoints
internal import Formats
internal import Kernels

extension Quantize {
    /// A weight in its new type; unchanged when it has that type already.
    ///
    /// - Throws: when it is already quantized in another type, or its importance is from another model.
    func recoded(_ tensor: Tensor, as dtype: DType, file: String) throws(CheckpointError) -> Tensor {
        if tensor.dtype == dtype { return tensor }
        if dtype.isQuantized, !settings.allowsRequantize, Codec.decodes(tensor.dtype),
            let before = tensor.quantizedSource
        {
            throw CheckpointError(
                file: file, tensor: tensor.name,
                "is already quantized (\(before)); quantizing it again loses more than quantizing the original would",
                hint: "quantize the original, or use --allow-requantize")
        }
        return try tensor.recoded(
            as: dtype, file: file, importance: try settings.importance?.entry(for: tensor),
            refusesNonfinite: !settings.allowsNonfinite)
    }

    /// Checks that the importance matrix fits the model and that a target type uses it.
    ///
    /// - Returns: the tensors whose types use importance but that were not measured; empty without a matrix.
    public func unmeasured(
        from checkpoint: Checkpoint, to result: Checkpoint
    ) throws(CheckpointError) -> [String] {
        guard let importance = settings.importance else { return [] }
        let weighted = zip(checkpoint.tensors, result.tensors).filter { before, after in
            before.dtype != after.dtype && Codec.usesImportance(after.dtype)
        }
        if weighted.isEmpty {
            throw CheckpointError(
                file: importance.matrix.path, "has no effect: no tensor gets a type that uses importance",
                hint: "omit --imatrix")
        }
        try importance.check(checkpoint)
        var names: [String] = []
        for (tensor, _) in weighted where try importance.entry(for: tensor) == nil { names.append(tensor.name) }
        if names.count == weighted.count {
            throw CheckpointError(
                file: importance.matrix.path, "has no entry for any tensor of \(checkpoint.path)",
                hint: "the importance matrix was measured on another model")
        }
        return names
    }
}
