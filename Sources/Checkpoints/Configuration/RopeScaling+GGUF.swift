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
            // What llama.cpp reads is a factor of the usual one; the converter's key is for the whole, and has no effect.
            if others["attention_factor"] == nil,
                let share = metadata.setting("rope.scaling.attn_factor")?.json.double
            {
                others["attention_factor"] = .double(share * YaRN.usualMagnitude(factor: factor))
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
        case .llama3 where settings.architecture.tensor(role: "rope_frequencies") != nil: return []
        case .longRoPE(let parameters) where settings.architecture.tensor(role: "rope_factors_long") != nil:
            return parameters.ggufPairs(prefix: prefix)
        case .dynamic, .llama3, .longRoPE:
            let name = config["rope_type"]?.string ?? ""
            throw CheckpointError(
                file: file, "the rope scaling '\(name)' has no key and no tensor in GGUF's \(prefix)",
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
            // llama.cpp reads these keys for families with a multiplier only, and computes with the usual values else.
            for (key, usual) in [("beta_fast", 32.0), ("beta_slow", 1.0)] where !hasMultiplier {
                guard let value = parameters.others[key]?.double, value != usual else { continue }
                throw CheckpointError(
                    file: file,
                    "the rope scaling 'yarn' has the \(key) \(value), and runtimes compute \(prefix) with \(usual)",
                    hint: "keep the model in a folder")
            }
            var magnitude: GGUFMetadata.Pair?
            if !hasMultiplier, let stated = parameters.others["attention_factor"]?.double {
                let share = stated / YaRN.usualMagnitude(factor: parameters.factor)
                if abs(share - 1) > 1e-6 { magnitude = pair("rope.scaling.attn_factor", .f32(Float(share))) }
            }
            return [
                pair("rope.scaling.type", .string("yarn")),
                pair("rope.scaling.factor", .f32(Float(parameters.factor))),
                pair("rope.scaling.original_context_length", .u32(UInt32(clamping: parameters.originalContext))),
            ]
                + RopeScaling.yarnKeys.compactMap { key, gguf in
                    parameters.others[key]?.double.map { pair(gguf, .f32(Float($0))) }
                } + [magnitude].compactMap(\.self)
        }
    }
}
