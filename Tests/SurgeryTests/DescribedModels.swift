import Checkpoints
import Formats

/// Models of any described architecture, made of its description: all its tensors in their shapes, holding zeros.
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
                continue
            }
            if let value = values[setting.role] {
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
        try addTensors(to: &model, architecture)
        return model
    }

    /// One entry for each layer, of the known ones in turn.
    private static func entries(of setting: Setting) -> [JSON] {
        let known = setting.values.map(\.from)
        return (0..<layers).map { known.isEmpty ? .int(1) : known[$0 % known.count] }
    }

    private static func addTensors(to model: inout Checkpoint, _ architecture: Architecture) throws {
        model.tensors = []
        let settings = Settings(model, architecture)
        var names: Set<String> = []
        for role in architecture.tensors {
            guard let part = role.huggingFace else { continue }
            for layer in role.isPerLayer ? Array(0..<layers) : [0] where try isThere(role, layer, settings) {
                var shape = try role.shape.map(settings.length)
                // A tensor that several roles share is as long as all of them.
                if !part.dims.isEmpty { shape[0] = try settings.grid(of: part).sizes.reduce(1, *) }
                if part.isTransposed { shape.reverse() }
                let count = part.isPerExpert ? shape.removeFirst() : 1
                for expert in 0..<count {
                    let name = part.name(layer: layer, expert: expert)
                    guard names.insert(name).inserted else { continue }
                    model.tensors.append(Models.zeros(name, shape, .bf16))
                }
            }
        }
    }

    /// Whether the settings ask for a tensor. Those that decide by the tensors that there are ask for none.
    private static func isThere(_ role: TensorRole, _ layer: Int, _ settings: Settings) throws -> Bool {
        func hold(_ flags: [SettingFlag]) throws -> Bool {
            try !flags.contains { settings.followsFromTensors($0.role) } && settings.hold(flags, layer: layer)
        }
        switch role.need {
        case .always: return true
        case .optional: return false
        case .setting(let flags): return try hold(flags)
        case .unless(let flags): return try !hold(flags)
        }
    }
}
