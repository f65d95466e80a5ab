public import Checkpoints
internal import Formats

/// Deletes a block of layers and renumbers the rest, with everything that depends on the layer number.
public struct CutLayers: Edit {
    /// The layers to delete, 0-based and half-open.
    public let layers: Range<Int>

    /// A cut of some layers.
    public init(layers: Range<Int>) { self.layers = layers }

    /// The checkpoint without the layers.
    ///
    /// - Throws: when the range is empty, out of range or everything, or when a setting cannot follow.
    public func apply(to checkpoint: Checkpoint) throws(CheckpointError) -> Checkpoint {
        guard let pattern = checkpoint.layerPattern else {
            throw CheckpointError(
                file: checkpoint.path, "has no tensors named <prefix>.<number>.<suffix>, so no layers to cut")
        }
        let count = pattern.count
        let range = "\(layers.lowerBound):\(layers.upperBound)"
        guard !layers.isEmpty else {
            throw CheckpointError(file: checkpoint.path, "the range \(range) holds no layer")
        }
        guard layers.lowerBound >= 0, layers.upperBound <= count else {
            throw CheckpointError(
                file: checkpoint.path, "the layers \(range) are out of range; there are \(count) (0:\(count))")
        }
        guard layers.count < count else {
            throw CheckpointError(file: checkpoint.path, "the range \(range) is all \(count) layers")
        }
        var result = checkpoint
        result.tensors = checkpoint.tensors.compactMap { tensor in
            guard let layer = pattern.layer(of: tensor.name) else { return tensor }
            guard let kept = renumbered(layer) else { return nil }
            var tensor = tensor
            tensor.name = pattern.renumber(tensor.name, to: kept)
            return tensor
        }
        let settings = SettingsCut(cut: layers, layerCount: count, file: checkpoint.path)
        if let config = checkpoint.config {
            result.config = try settings.config(config, pattern: pattern)
        }
        if checkpoint.form == .gguf { result.metadata = try settings.metadata(checkpoint.metadata) }
        SizeLabel.update(&result, was: checkpoint)
        return result
    }

    /// The new number of a layer; `nil` when it is cut.
    private func renumbered(_ layer: Int) -> Int? {
        if layers.contains(layer) { return nil }
        return layer < layers.lowerBound ? layer : layer - layers.count
    }
}
