internal import Checkpoints
internal import Formats

/// Makes a LoRA adapter follow a cut of its base: the names of its tensors, and its settings.
struct AdapterCut {
    /// The layers of the base that are cut.
    let layers: LayerRuns

    /// The adapter for the base without the layers.
    ///
    /// - Throws: when nothing would be left, or a setting cannot follow.
    func apply(to adapter: Checkpoint) throws(CheckpointError) -> Checkpoint {
        if case .adapter(let kind, _) = adapter.content, adapter.form == .gguf, kind != "lora" {
            throw CheckpointError(file: adapter.path, "is an adapter of the type '\(kind)'; those of lora follow a cut")
        }
        let named = try NamedLayers(of: adapter)
        var result = adapter
        result.tensors = named.followed(adapter.tensors, layers)
        guard !result.tensors.isEmpty else {
            throw CheckpointError(
                file: adapter.path, "has no tensor outside the layers \(layers.text), so nothing of it would be left")
        }
        if layers.runs.allSatisfy({ $0.lowerBound >= named.count }) {
            result.note("the adapter names no layer that is cut or moves, so it stays as it is")
        }
        for index in result.companions.indices where result.companions[index].name == "adapter_config.json" {
            let path = adapter.path + "/adapter_config.json"
            let config = try FileSystem.json(result.companions[index].contents, path: path)
            let followed = try followed(config, of: adapter, path: path)
            if followed != config { result.companions[index].contents = Array(JSON.object(followed).pretty.utf8) }
        }
        return result
    }

    /// The settings of an adapter after the cut.
    ///
    /// - Parameters:
    ///   - adapter: the adapter before the cut.
    ///   - path: the path of adapter_config.json, for messages.
    func followed(_ config: JSONObject, of adapter: Checkpoint, path: String) throws(CheckpointError) -> JSONObject {
        let named = try NamedLayers(of: adapter)
        let isMLX = config["peft_type"] == nil && (config["lora_parameters"] != nil || config["fine_tune_type"] != nil)
        if isMLX { return try MLXAdapterConfigCut(layers: layers, named: named, path: path).followed(config) }
        return try AdapterConfigCut(adapter, layers: layers, named: named, path: path).followed(config)
    }
}

/// Makes an importance matrix follow a cut of the model that it was measured on.
struct ImportanceCut {
    /// The layers that are cut.
    let layers: LayerRuns

    /// The matrix for what is left of the model.
    ///
    /// - Throws: when a layer is cut that was not measured, or nothing would be left.
    func apply(to matrix: Checkpoint) throws(CheckpointError) -> Checkpoint {
        let named = try NamedLayers(of: matrix)
        guard layers.upperBound <= named.count else {
            throw CheckpointError(
                file: matrix.path,
                "the layers \(layers.text) are out of range; \(named.count) were measured (0:\(named.count))")
        }
        var result = matrix
        result.tensors = named.followed(matrix.tensors, layers)
        guard result.tensors.contains(where: { named.layer(of: $0.name) != nil }) else {
            throw CheckpointError(file: matrix.path, "the range \(layers.text) is all layers that were measured")
        }
        // How many of the last layers are modules for multi-token prediction.
        let key = "imatrix.n_layer_nextn"
        if let count = matrix.metadata[key]?.int, count > 0 {
            let last = max(0, named.count - count)..<named.count
            result.metadata[key] = .u32(UInt32(clamping: last.count - layers.count(in: last)))
        }
        return result
    }
}
