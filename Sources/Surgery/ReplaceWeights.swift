public import Checkpoints
internal import Formats
internal import Weights

/// Puts other values in the place of weights.
public struct ReplaceWeights: Edit {
    private let weights: [ExactString: Tensor]
    private let sources: [MappedFile]

    /// An edit.
    ///
    /// - Parameters:
    ///   - weights: F32 tensors with the names and the shapes of weights of the model.
    ///   - sources: the files that they lie in.
    package init(_ weights: [Tensor], sources: [MappedFile]) {
        self.weights = Dictionary(weights.map { (ExactString($0.name), $0) }, uniquingKeysWith: { $1 })
        self.sources = sources
    }

    /// The model with the weights replaced. Each has the type that it had, or what the configuration names where it was
    /// quantized, and is rounded once: later edits that round to other types get the f32 values.
    ///
    /// - Throws: when the model has no weight of a name, or one of another shape.
    public func apply(to checkpoint: Checkpoint) throws(CheckpointError) -> Checkpoint {
        guard !weights.isEmpty else { return checkpoint }
        var result = try DequantizeFolder(to: .f32).apply(to: checkpoint)
        var missing = weights
        for index in result.tensors.indices {
            let old = result.tensors[index]
            guard let weight = missing.removeValue(forKey: ExactString(old.name)) else { continue }
            guard weight.shape == old.shape else {
                throw CheckpointError(
                    file: checkpoint.path, tensor: old.name,
                    "has the shape \(old.shape), and its new values \(weight.shape)")
            }
            result.tensors[index] = Tensor(
                name: old.name, dtype: .f32, shape: old.shape, recipe: .computed(ReplacedValues(weight: weight)))
        }
        if let first = missing.keys.map(\.text).min() {
            throw CheckpointError(file: checkpoint.path, tensor: first, "is missing, so its values cannot be replaced")
        }
        result.sources += sources
        try result.restoreTypes(from: checkpoint)
        return result
    }
}

/// The values of a weight that was fitted anew.
private struct ReplacedValues: F32Rows {
    let weight: Tensor

    var description: String { "fitted values" }
    var rowLength: Int { weight.rowLength }

    /// The file without a name is called the same in every run, so its bytes decide. Where they cannot be read, the write fails
    /// for the same reason.
    var fingerprint: String {
        let digest = try? weight.withBytes(rows: 0..<weight.rowCount) { Digest(of: $0) }
        return "fitted values \(digest.map { "\($0)" } ?? "")"
    }

    func writeValues(
        rows: Range<Int>, columns: Range<Int>, into output: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) -> Bool {
        try weight.writeValues(rows: rows, columns: columns, into: output)
        return true
    }
}
