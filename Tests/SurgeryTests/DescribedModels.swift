import Checkpoints
import Formats

/// Models of any known architecture with all its tensors in their shapes, holding zeros.
enum DescribedModels {
    static let layers = 6
    /// Values of settings that nothing else gives.
    private static let values: [String: JSON] = [
        "layers": .int(layers), "context": .int(64), "hidden": .int(32), "ffn": .int(48), "inner_ffn": .int(96),
        "heads": .int(4), "kv_heads": .int(2), "vocabulary": .int(4), "norm_epsilon": .number("1e-05"),
        "rope_theta": .number("50000.0"), "use_window": .bool(true), "window": .int(16), "experts": .int(4),
        "experts_used": .int(2), "expert_ffn": .int(24), "shared_ffn": .int(16), "attention_scale": .number("0.25"),
    ]

    /// A folder whose config.json has the required settings under their newest or their written names.
    static func folder(_ architecture: Architecture, newest: Bool = false) throws -> Checkpoint {
        var model = try Models.small()
        var config = JSONObject([
            ("architectures", .array([.string(architecture.classes[0])])),
            ("model_type", .string(architecture.modelTypes[0])),
        ])
        func set(_ path: ArraySlice<String>, _ value: JSON, in object: JSONObject) -> JSONObject {
            guard let key = path.first else { return object }
            var object = object
            object[key] =
                path.count == 1
                ? value : .object(set(path.dropFirst(), value, in: object[key]?.object ?? JSONObject()))
            return object
        }
        for setting in architecture.settings {
            guard let key = newest ? setting.huggingFace.first : setting.writtenKey else { continue }
            // A file of few layers has no windows where llama.cpp computes none.
            if setting.role == architecture.layer?.window?.width, architecture.ggufWindowedLayerCount != nil {
                config = set(key[...], .null, in: config)
            } else if let value = values[setting.role] {
                config = set(key[...], value, in: config)
            } else if setting.layers == .list, setting.absent == .required {
                config = set(key[...], .array(entries(of: setting)), in: config)
            }
        }
        // A GGUF file of the family holds what its runtime takes for granted.
        for setting in architecture.settings where setting.gguf.isEmpty {
            if let key = setting.writtenKey, case .value(let value)? = setting.ggufAbsent {
                config = set(key[...], value, in: config)
            }
        }
        model.config = config
        model.architecture = architecture
        let settings = Settings(model, architecture)
        model.tensors = try settings.folderTensors(layers: layers) { (role, layer) throws(CheckpointError) in
            try isThere(role, layer, settings)
        }.map { Models.zeros($0.name, $0.shape, .bf16) }
        return model
    }

    /// One entry for each layer, of the known ones in turn.
    private static func entries(of setting: Setting) -> [JSON] {
        let known = setting.values.map(\.from)
        return (0..<layers).map { known.isEmpty ? .int(1) : known[$0 % known.count] }
    }

    /// Whether the settings ask for a tensor. Those that decide by the tensors that there are ask for none.
    private static func isThere(_ role: TensorRole, _ layer: Int, _ settings: Settings) throws(CheckpointError) -> Bool
    {
        func hold(_ flags: [SettingFlag]) throws(CheckpointError) -> Bool {
            if flags.contains(where: { settings.followsFromTensors($0.role) }) { return false }
            return try settings.hold(flags, layer: layer)
        }
        switch role.need {
        case .always: return true
        case .optional: return false
        case .setting(let flags): return try hold(flags)
        case .unless(let flags): return try !hold(flags)
        }
    }
}
