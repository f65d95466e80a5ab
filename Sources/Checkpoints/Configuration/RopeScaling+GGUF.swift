internal import Formats

extension RopeScaling {
    /// Reads the scaling from GGUF metadata; `nil` where positions are not scaled.
    ///
    /// llama.cpp reads a factor without a type as linear scaling, and `rope.scale_linear` in files from 2023 as a
    /// factor.
    package init?(metadata: GGUFMetadata, file: String) throws(CheckpointError) {
        let type = metadata.setting("rope.scaling.type")?.string ?? "linear"
        let value = metadata.setting("rope.scaling.factor") ?? metadata.setting("rope.scale_linear")
        guard type != "none", let value else { return nil }
        guard let factor = value.json.double, factor >= 0 else {
            throw CheckpointError(file: file, "the rope scaling '\(type)' has a factor that is not a positive number")
        }
        switch type {
        // llama.cpp reads 0 as no scaling.
        case "linear" where factor == 0 || factor == 1: return nil
        case "linear": self = .linear(factor: factor)
        case "yarn":
            var others = JSONObject()
            for (key, gguf) in RopeScaling.yarnKeys {
                others[key] = metadata.setting(gguf)?.json.double.map(JSON.double)
            }
            var magnitudes = JSONObject()
            if let weight = metadata.setting("rope.scaling.yarn_log_multiplier")?.json.double, weight != 0 {
                magnitudes = JSONObject([("mscale", .double(1)), ("mscale_all_dim", .double(weight))])
            }
            self = .yarn(
                YaRN(
                    factor: factor,
                    originalContext: metadata.setting("rope.scaling.original_context_length")?.int ?? 0,
                    others: others, inexpressible: magnitudes))
        default: throw CheckpointError(file: file, "the rope scaling '\(type)' cannot be converted")
        }
    }

    /// The GGUF keys; none for Llama 3, whose factors are a tensor.
    ///
    /// - Throws: for parameters without a GGUF key.
    package func ggufPairs(_ settings: Settings, prefix: String) throws(CheckpointError) -> [GGUFMetadata.Pair] {
        let file = settings.file
        func pair(_ key: String, _ value: GGUFValue) -> GGUFMetadata.Pair {
            GGUFMetadata.Pair(key: "\(prefix).\(key)", value: value)
        }
        switch self {
        case .llama3: return []
        case .longRoPE(let parameters) where settings.architecture.tensor(role: "rope_factors_long") != nil:
            return parameters.ggufPairs(prefix: prefix)
        case .dynamic, .longRoPE:
            throw CheckpointError(
                file: file, "the rope scaling '\(config["rope_type"]?.string ?? "")' has no key in GGUF's \(prefix)",
                hint: "keep the model in a folder")
        case .linear(let factor):
            return [
                pair("rope.scaling.type", .string("linear")),
                pair("rope.scaling.factor", .f32(Float(factor))),
            ]
        case .yarn(let parameters):
            // Some families have a key for one of the two weights, and the other is 1.
            let hasMultiplier = settings.architecture.setting(SettingRole.yarnMultiplier.rawValue) != nil
            let expressed = hasMultiplier && parameters.inexpressible["mscale"]?.double ?? 1 == 1
            let unknown = parameters.inexpressible.keys.first {
                !expressed || ($0 != "mscale" && $0 != "mscale_all_dim")
            }
            if let key = unknown {
                throw CheckpointError(
                    file: file, "the rope scaling 'yarn' has '\(key)', which GGUF's \(prefix) has no key for",
                    hint: "keep the model in a folder")
            }
            return [
                pair("rope.scaling.type", .string("yarn")),
                pair("rope.scaling.factor", .f32(Float(parameters.factor))),
                pair("rope.scaling.original_context_length", .u32(UInt32(clamping: parameters.originalContext))),
            ]
                + RopeScaling.yarnKeys.compactMap { key, gguf in
                    parameters.others[key]?.double.map { pair(gguf, .f32(Float($0))) }
                }
        }
    }
}
