public import Checkpoints
internal import Formats

/// An adapter made of the low-rank matrices of a training.
package struct TrainedAdapter {
    private var folder = AdapterFolder()

    /// An adapter without matrices.
    ///
    /// - Parameters:
    ///   - alpha: the numerator of the scale, alpha / rank.
    ///   - dropout: the share of inputs that the training dropped, for the settings.
    ///   - baseName: the name of the base in the settings.
    package init(alpha: Double, dropout: Double, baseName: String?) {
        folder.training = (alpha, dropout)
        folder.baseName = baseName
    }

    /// Adds the matrices for a weight.
    ///
    /// - Parameters:
    ///   - weight: the name of the tensor in the base.
    ///   - a: A, [rank, inputs].
    ///   - b: B, [outputs, rank].
    package mutating func add(to weight: String, a: Tensor, b: Tensor) {
        folder.pairs.append(AdapterFolder.Pair(module: ModuleTree.module(of: weight), a: a, b: b))
    }

    /// The folder that PEFT loads.
    package func checkpoint(for base: Checkpoint) throws(CheckpointError) -> Checkpoint {
        try folder.checkpoint(path: base.path, modules: ModuleTree(base.tensors))
    }
}

extension Adapter {
    /// An adapter that is not written yet: the result of a training or of an extraction.
    public init(_ folder: Checkpoint) throws(CheckpointError) {
        guard let config = folder.companion("adapter_config.json") else {
            throw CheckpointError(file: folder.path, "has no adapter_config.json")
        }
        let path = folder.path + "/adapter_config.json"
        try self.init(
            folder, AdapterConfig(FileSystem.json(config.contents, path: path), path: path), path: folder.path)
    }
}
