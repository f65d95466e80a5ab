internal import Checkpoints
internal import Formats

/// What a folder says about the way its weights are packed, from config.json or from a file beside it.
struct QuantizationSettings {
    /// The quantizer: `gptq`, `awq`, `mlx`, …; `nil` when nothing names one.
    let method: String?
    /// The members that the quantizer wrote.
    let members: JSONObject
    /// The file that holds them, for messages.
    let file: String

    /// Names of the object in config.json. Early versions of compressed-tensors wrote the second.
    private static let keys = ["quantization_config", "compression_config"]
    /// Files beside config.json: of GPTQ, of AWQ, of ModelOpt.
    private static let sidecars = ["quantize_config.json", "quant_config.json", "hf_quant_config.json"]
    /// Lists of modules that stay plain; they may differ where the same settings stand twice.
    private static let ignoreLists = [
        "ignore", "ignored_layers", "modules_to_not_convert", "llm_int8_skip_modules", "exclude_modules",
    ]

    /// Finds the settings of a checkpoint: in config.json, in an object inside it (`text_config`, `llm_config`,
    /// `thinker_config.text_config`), or in a file beside it. `nil` when there are none.
    ///
    /// - Throws: when two of them differ, or a file holds no JSON object.
    init?(of checkpoint: Checkpoint) throws(CheckpointError) {
        let file = checkpoint.path + "/config.json"
        let found = QuantizationSettings.stated(in: checkpoint.config ?? JSONObject(), path: "")
        guard let first = found.first else {
            guard let beside = try QuantizationSettings.beside(checkpoint) else { return nil }
            self = beside
            return
        }
        for other in found.dropFirst()
        where other.method != first.method
            || QuantizationSettings.compared(other.members) != QuantizationSettings.compared(first.members)
        {
            throw CheckpointError(
                file: file, "'\(first.path)' and '\(other.path)' say different things of the packed weights",
                hint: "remove the one that does not belong to the tensors")
        }
        self.init(method: first.method, members: first.members, file: file)
    }

    private init(method: String?, members: JSONObject, file: String) {
        self.method = method
        self.members = members
        self.file = file
    }

    /// Removes the settings from config.json and the files that hold them.
    static func remove(from checkpoint: inout Checkpoint) {
        checkpoint.config = checkpoint.config.map(removed)
        checkpoint.companions.removeAll { sidecars.contains($0.name) }
    }

    private static func removed(from config: JSONObject) -> JSONObject {
        var result = config
        for (key, value) in config.members {
            guard let object = value.object else { continue }
            if keys.contains(key) || isMLX(key, object) {
                result[key] = nil
            } else {
                result[key] = .object(removed(from: object))
            }
        }
        return result
    }

    /// All settings in a configuration, the outermost first.
    private static func stated(
        in config: JSONObject, path: String
    ) -> [(path: String, method: String?, members: JSONObject)] {
        let own = keys.lazy.compactMap { key in config[key]?.object.map { (key, $0) } }.first
        var result: [(path: String, method: String?, members: JSONObject)] = []
        // MLX writes the same object twice, without a method.
        if let settings = config["quantization"]?.object, isMLX("quantization", settings),
            own?.1["quant_method"] == nil
        {
            result.append((path + "quantization", "mlx", settings))
        } else if let (key, settings) = own {
            result.append((path + key, method(settings), settings))
        }
        for (key, value) in config.members where !keys.contains(key) && key != "quantization" {
            if let object = value.object { result += stated(in: object, path: path + key + ".") }
        }
        return result
    }

    /// Whether a member is what MLX writes of its groups.
    private static func isMLX(_ key: String, _ settings: JSONObject) -> Bool {
        key == "quantization" && (settings["group_size"] != nil || settings["bits"] != nil || settings["mode"] != nil)
    }

    /// The method that is named; early bitsandbytes named none.
    private static func method(_ settings: JSONObject) -> String? {
        if let method = settings["quant_method"]?.string { return method.lowercased() }
        return settings["load_in_4bit"] == nil && settings["load_in_8bit"] == nil ? nil : "bitsandbytes"
    }

    private static func compared(_ settings: JSONObject) -> JSONObject {
        var result = settings
        for key in ignoreLists { result[key] = nil }
        return result
    }

    /// The settings in a file beside config.json.
    private static func beside(_ checkpoint: Checkpoint) throws(CheckpointError) -> QuantizationSettings? {
        for name in sidecars {
            guard let companion = checkpoint.companion(name) else { continue }
            let file = checkpoint.path + "/" + name
            let members = try FileSystem.json(companion.contents, path: file)
            if name == "hf_quant_config.json" {
                guard let own = members["quantization"]?.object else { continue }
                return QuantizationSettings(method: "modelopt", members: own, file: file)
            }
            // The first AutoAWQ wrote w_bit, the first AutoGPTQ bits, and both no method.
            let isAWQ = members["w_bit"] != nil || members["q_group_size"] != nil
            guard isAWQ || members["bits"] != nil else { continue }
            let method = QuantizationSettings.method(members) ?? (isAWQ ? "awq" : "gptq")
            return QuantizationSettings(method: method, members: members, file: file)
        }
        return nil
    }
}
