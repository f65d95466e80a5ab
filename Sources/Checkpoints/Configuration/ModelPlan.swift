internal import Formats

/// What a whole model computes: its widths, its rotary frequencies, and one plan for each layer.
package struct ModelPlan: Sendable, Equatable {
    /// The width of the residual stream.
    package let hidden: Int
    /// The number of embedding rows; `nil` when the file does not state it.
    package let vocabulary: Int?
    /// The norm before the output matrix.
    package let outputNorm: NormPlan
    /// The rotary embedding.
    package let rotary: RotaryPlan
    /// A plan for each layer.
    package let layers: [LayerPlan]

    /// Resolves the settings of a model.
    ///
    /// - Throws: when resect does not know how the model computes, when a setting is missing or absurd, or when it
    ///   requires something that the architecture file lacks.
    package init(_ checkpoint: Checkpoint) throws(CheckpointError) {
        guard let settings = checkpoint.settings, let layer = settings.architecture.layer else {
            throw CheckpointError(file: checkpoint.path, "its architecture has no description of its layers")
        }
        hidden = try settings.int(.hidden)
        let isOptional = checkpoint.form == .gguf && !settings.isStated(SettingRole.vocabulary.rawValue)
        vocabulary = isOptional ? nil : try settings.int(.vocabulary)
        rotary = try RotaryPlan(checkpoint, settings, layer.rope)
        let norm = NormPlan(kind: layer.norm, epsilon: try settings.epsilon())
        outputNorm = norm
        let plan = LayerPlan(
            norm: norm, attention: try settings.attention(layer),
            feedForward: try settings.feedForward(layer.feedForward))
        layers = Array(repeating: plan, count: checkpoint.layerCount)
    }
}

extension Settings {
    fileprivate func epsilon() throws(CheckpointError) -> Float {
        let role = SettingRole.normEpsilon.rawValue
        guard let epsilon = try double(role), epsilon >= 0, epsilon < 1 else {
            throw CheckpointError(file: file, "'\(key(role))' is missing or no small number")
        }
        return Float(epsilon)
    }

    fileprivate func attention(_ layer: LayerDescription) throws(CheckpointError) -> AttentionPlan {
        let heads = try int(.heads), keyHeads = try int(.keyHeads)
        let headSize = try int(.keySize), valueSize = try int(.valueSize)
        guard heads % keyHeads == 0, headSize % 2 == 0, headSize <= 1024 else {
            throw CheckpointError(
                file: file, "has \(heads) heads of \(headSize) over \(keyHeads) key heads, which do not fit")
        }
        guard headSize == valueSize else {
            throw CheckpointError(
                file: file, "has query heads of \(headSize) and value heads of \(valueSize), which is not computed")
        }
        let rotated = try int(.rotarySize)
        guard rotated == headSize else {
            throw CheckpointError(
                file: file, "rotates \(rotated) of the \(headSize) elements of a head, which is not computed")
        }
        var window: Int?
        if let role = layer.window, let stated = try value(role) {
            guard let number = stated.int, number >= 0 else {
                throw CheckpointError(file: file, "'\(key(role))' is not a whole number")
            }
            // In some files 0 means no window.
            window = number > 0 ? number : nil
        }
        return AttentionPlan(
            heads: heads, keyHeads: keyHeads, headSize: headSize, valueSize: valueSize, window: window)
    }

    fileprivate func feedForward(
        _ description: LayerDescription.FeedForward
    ) throws(CheckpointError) -> FeedForwardPlan {
        switch description {
        case .gated(let role):
            guard let activation = try value(role)?.string.flatMap(Activation.init) else {
                throw CheckpointError(file: file, "'\(key(role))' names no activation that is computed")
            }
            return .gated(width: try int(.feedForward), activation: activation)
        }
    }
}
