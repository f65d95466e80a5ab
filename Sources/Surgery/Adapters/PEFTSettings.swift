internal import Checkpoints
internal import Formats

/// adapter_config.json for pairs of matrices, as PEFT reads it.
struct PEFTSettings {
    /// The changes, under the names of modules in folders.
    let pairs: [Adapter.Pair]
    /// What the base is called.
    let baseName: String
    /// All modules of the base that have a matrix.
    let modules: [String]

    /// The file.
    var companion: Checkpoint.Companion {
        let rank = PEFTSettings.mostCommon(pairs.map(\.a.shape[0])) ?? 1
        let alpha = PEFTSettings.mostCommon(pairs.map(PEFTSettings.alpha)) ?? 1
        var (ranks, alphas) = (JSONObject(), JSONObject())
        for pair in pairs {
            let (own, ownAlpha) = (pair.a.shape[0], PEFTSettings.alpha(pair))
            if own != rank { ranks[pair.module] = .int(own) }
            if ownAlpha != alpha { alphas[pair.module] = PEFTSettings.number(ownAlpha) }
        }
        let config = JSONObject([
            ("alpha_pattern", .object(alphas)), ("base_model_name_or_path", .string(baseName)),
            ("bias", .string("none")),
            ("fan_in_fan_out", .bool(false)), ("inference_mode", .bool(true)), ("init_lora_weights", .bool(true)),
            ("lora_alpha", PEFTSettings.number(alpha)), ("lora_dropout", .number("0.0")), ("modules_to_save", .null),
            ("peft_type", .string("LORA")), ("r", .int(rank)), ("rank_pattern", .object(ranks)),
            ("target_modules", .array(targets.map(JSON.string))), ("task_type", .string("CAUSAL_LM")),
            ("use_dora", .bool(false)), ("use_rslora", .bool(false)),
        ])
        return Checkpoint.Companion(name: "adapter_config.json", contents: Array(JSON.object(config).pretty.utf8))
    }

    /// The modules that have a pair: a kind such as `q_proj` where all of its modules do, else whole names.
    private var targets: [String] {
        func kind(_ module: String) -> String { String(module.split(separator: ".").last ?? "") }
        let counts = Dictionary(grouping: modules, by: kind).mapValues(\.count)
        return Dictionary(grouping: pairs.map(\.module), by: kind).flatMap { kind, names in
            counts[kind] == names.count ? [kind] : names
        }.sorted()
    }

    /// The number that gives a pair's scale when PEFT divides it by the rank.
    private static func alpha(_ pair: Adapter.Pair) -> Double {
        Double(SharedAlpha.alpha(scale: pair.scale, rank: pair.a.shape[0]))
    }

    /// The value of most pairs, of several the highest.
    private static func mostCommon<Value: Hashable & Comparable>(_ values: [Value]) -> Value? {
        var counts: [Value: Int] = [:]
        for value in values { counts[value, default: 0] += 1 }
        return counts.max { ($0.value, $0.key) < ($1.value, $1.key) }?.key
    }

    /// A number, without a fraction where it is whole.
    private static func number(_ value: Double) -> JSON { Int(exactly: value).map(JSON.int) ?? .double(value) }
}
