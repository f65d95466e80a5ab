import Checkpoints
import Formats

/// Models of any described architecture, made of its description: all its tensors in their shapes, holding zeros.
enum DescribedModels {
    static let layers = 6
    /// Values of settings that nothing else gives.
    private static let values: [String: Int] = [
        "layers": layers, "context": 64, "hidden": 32, "ffn": 48, "heads": 4, "kv_heads": 2, "vocabulary": 4,
    ]

    /// A folder whose config.json has the required settings under their newest or their written names.
    static func folder(_ architecture: Architecture, newest: Bool = false) throws -> Checkpoint {
        var model = try Models.small()
        var config = JSONObject([("architectures", .array([.string(architecture.classes[0])]))])
        func set(_ path: ArraySlice<String>, _ value: JSON, in object: JSONObject) -> JSONObject {
            guard let key = path.first else { return object }
            var object = object
            object[key] =
                path.count == 1
                ? value : .object(set(path.dropFirst(), value, in: object[key]?.object ?? JSONObject()))
            return object
        }
        for setting in architecture.settings {
            let key = newest ? setting.huggingFace.first : setting.writtenKey
            guard let key else { continue }
            if let value = values[setting.role] {
                config = set(key[...], .int(value), in: config)
            } else if setting.role == "norm_epsilon" {
                config = set(key[...], .number("1e-05"), in: config)
            } else if setting.role == "rope_theta" {
                config = set(key[...], .number("50000.0"), in: config)
            } else if setting.role == "window" {
                config = set(key[...], .int(16), in: config)
            }
        }
        model.config = config
        model.architecture = architecture
        let settings = Settings(model, architecture)
        model.tensors = []
        for role in architecture.tensors where role.need == .always || role.role == "output" {
            guard let part = role.huggingFace else { continue }
            let shape = try role.shape.map(settings.length)
            for layer in role.isPerLayer ? Array(0..<layers) : [0] {
                model.tensors.append(Models.zeros(part.name(layer: layer), shape, .bf16))
            }
        }
        return model
    }
}
