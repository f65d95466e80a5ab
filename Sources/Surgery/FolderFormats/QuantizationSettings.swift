internal import Checkpoints
internal import Formats

/// The quantization settings of a folder, from config.json or a file beside it.
struct QuantizationSettings {
    /// The quantizer: `gptq`, `awq`, `mlx`, …; `nil` when the settings do not name it.
    let method: String?
    /// The settings that the quantizer wrote.
    let members: JSONObject
    /// The file that contains them, for messages.
    let file: String

    /// Names of the object in config.json; the second is from early versions of compressed-tensors.
    private static let keys = ["quantization_config", "compression_config"]
    /// Files beside config.json, from GPTQ, AWQ and ModelOpt.
    private static let sidecars = ["quantize_config.json", "quant_config.json", "hf_quant_config.json"]
    /// Lists of unquantized modules; they may differ between two copies of the same settings.
    private static let ignoreLists = [
        "ignore", "ignored_layers", "modules_to_not_convert", "llm_int8_skip_modules", "exclude_modules",
    ]

    /// Finds the settings of a checkpoint: in config.json, in an object inside it (`text_config`, `llm_config`,
    /// `thinker_config.text_config`), or in a file beside it. `nil` without settings.
    ///
    /// - Throws: when two of them differ, or a file is not a JSON object.
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
                file: file, "'\(first.path)' and '\(other.path)' contradict each other about the quantized weights",
                hint: "remove the one that does not match the tensors")
        }
        self.init(method: first.method, members: first.members, file: file)
    }

    private init(method: String?, members: JSONObject, file: String) {
        self.method = method
        self.members = members
        self.file = file
    }

    /// Removes the settings from config.json and removes the files that contain them.
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

    /// All quantization settings in a configuration, outermost first.
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

    /// Whether a member holds MLX's settings.
    private static func isMLX(_ key: String, _ settings: JSONObject) -> Bool {
        key == "quantization" && (settings["group_size"] != nil || settings["bits"] != nil || settings["mode"] != nil)
    }

    /// The stated method; early versions of bitsandbytes wrote none.
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
            // Early AutoAWQ wrote w_bit and early AutoGPTQ bits, both without a method.
            let isAWQ = members["w_bit"] != nil || members["q_group_size"] != nil
            guard isAWQ || members["bits"] != nil else { continue }
            let method = QuantizationSettings.method(members) ?? (isAWQ ? "awq" : "gptq")
            return QuantizationSettings(method: method, members: members, file: file)
        }
        return nil
    }
}
