public import Checkpoints
internal import Formats

/// Removes the modules for multi-token prediction. They speed up decoding and do not affect the model's own prediction.
public struct DropPredictors: Edit {
    /// A removal.
    public init() {}

    /// The checkpoint without these modules.
    ///
    /// - Throws: when there are none.
    public func apply(to checkpoint: Checkpoint) throws(CheckpointError) -> Checkpoint {
        var result = checkpoint
        if let pattern = try checkpoint.layers(), pattern.predictorCount > 0 {
            result = try CutLayers(layers: pattern.decoderCount..<pattern.count).apply(to: checkpoint)
        }
        // Some families store them under their own prefix: `mtp.layers.0`.
        result.tensors = result.tensors.filter { !DropPredictors.isPredictor($0.name) }
        guard result.tensors.count < checkpoint.tensors.count else {
            throw CheckpointError(file: checkpoint.path, "has no modules for multi-token prediction to drop")
        }
        let counts = LayerSettings.known.counts
        result.config = result.config.map { DropPredictors.withoutCounts($0, counts.predictors) }
        if let architecture = result.metadata.architecture {
            let key = "\(architecture).\(counts.ggufPredictors)"
            if result.metadata[key] != nil { result.metadata[key] = .u32(0) }
        }
        SizeLabel.update(&result, was: checkpoint)
        return result
    }

    /// Whether a tensor belongs to such a module, by a component of its name: `mtp`, `mtp_block`.
    private static func isPredictor(_ name: String) -> Bool {
        name.split(separator: ".").contains { $0 == "mtp" || $0.hasPrefix("mtp_") }
    }

    /// The configuration with a count of 0.
    private static func withoutCounts(_ config: JSONObject, _ keys: [String]) -> JSONObject {
        var result = config
        for (key, value) in config.members {
            if keys.contains(key), value.int != nil { result[key] = .int(0) }
            if let object = value.object { result[key] = .object(withoutCounts(object, keys)) }
        }
        return result
    }
}
