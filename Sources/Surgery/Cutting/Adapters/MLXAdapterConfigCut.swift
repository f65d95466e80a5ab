internal import Checkpoints
internal import Formats

/// The settings of mlx-lm's adapter_config.json after a cut.
///
/// `num_layers` counts the last layers of the model, which are those that the adapter is for; 0 and less are all layers.
struct MLXAdapterConfigCut {
    /// The layers that are cut.
    let layers: LayerRuns
    /// The layers that the adapter names; the highest of them is the last one of the model.
    let named: NamedLayers
    /// The path of the file, for messages.
    let path: String

    /// The settings for the base without the layers.
    ///
    /// - Throws: when the number of layers cannot follow.
    func followed(_ config: JSONObject) throws(CheckpointError) -> JSONObject {
        var result = config
        for name in config["lora_parameters"]?["keys"]?.array ?? [] {
            guard let text = name.string, named.layer(of: text + ".") != nil else { continue }
            throw CheckpointError(
                file: path, "'lora_parameters.keys' has '\(text)', which names a layer, so it cannot follow the cut")
        }
        guard let value = config["num_layers"], value != .null else { return result }
        guard let number = value.int else {
            throw CheckpointError(file: path, "'num_layers' is \(LayerCut.short(value)), not a number of layers")
        }
        guard number > 0 else { return result }
        let last = max(0, named.count - number)..<named.count
        let left = last.count - layers.count(in: last)
        guard left > 0 else {
            throw CheckpointError(
                file: path, "'num_layers' is \(number), and all of these layers are cut; 0 would mean all that are left"
            )
        }
        result["num_layers"] = .int(left)
        return result
    }
}
