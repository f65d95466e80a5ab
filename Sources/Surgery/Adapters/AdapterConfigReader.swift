internal import Checkpoints
internal import Formats

/// Reads typed values of adapter_config.json, and refuses settings that cannot be merged.
struct AdapterConfigReader {
    let object: JSONObject
    let path: String

    init(_ object: JSONObject, path: String) {
        self.object = object
        self.path = path
    }

    /// The value of a key; `nil` when it is missing or null.
    func value(_ key: String) -> JSON? {
        guard let value = object[key], value != .null else { return nil }
        return value
    }

    private func wrong(_ key: String, _ value: JSON, _ wanted: String) -> CheckpointError {
        let text = String(value.compact.prefix(60))
        return CheckpointError(file: path, "'\(key)' is \(text), not \(wanted)")
    }

    /// A positive integer of at most 2^20; no rank is larger.
    func positive(_ value: JSON, _ key: String) throws(CheckpointError) -> Int {
        guard let number = value.int, (1...1 << 20).contains(number) else {
            throw wrong(key, value, "a positive integer")
        }
        return number
    }

    /// A finite number.
    func finite(_ value: JSON, _ key: String) throws(CheckpointError) -> Double {
        guard let number = value.double, number.isFinite else { throw wrong(key, value, "a finite number") }
        return number
    }

    /// A value that has to be there.
    func required(_ key: String) throws(CheckpointError) -> JSON {
        guard let value = value(key) else { throw CheckpointError(file: path, "has no '\(key)'") }
        return value
    }

    /// A regular expression for names of modules.
    func pattern(_ text: String, _ key: String) throws(CheckpointError) -> ModulePattern {
        try understood(text, key) { (text) throws(NamePatternError) in try ModulePattern(text) }
    }

    /// The value that `body` makes of a text with a regular expression; its errors name the key.
    func understood<Value>(
        _ text: String, _ key: String, _ body: (String) throws(NamePatternError) -> Value
    ) throws(CheckpointError) -> Value {
        do throws(NamePatternError) {
            return try body(text)
        } catch {
            throw CheckpointError(file: path, "the pattern '\(text.prefix(80))' of '\(key)' \(error.problem)")
        }
    }

    func bool(_ key: String) throws(CheckpointError) -> Bool {
        guard let value = value(key) else { return false }
        guard case .bool(let flag) = value else { throw wrong(key, value, "true or false") }
        return flag
    }

    func int(_ key: String) throws(CheckpointError) -> Int? {
        guard let value = value(key) else { return nil }
        guard let number = value.int else { throw wrong(key, value, "an integer") }
        return number
    }

    func string(_ key: String) throws(CheckpointError) -> String? {
        guard let value = value(key) else { return nil }
        guard let text = value.string else { throw wrong(key, value, "a text") }
        return text
    }

    /// A list of texts; one text is a list of one.
    func strings(_ key: String) throws(CheckpointError) -> [String]? {
        guard let value = value(key) else { return nil }
        if let text = value.string { return [text] }
        guard let items = value.array, items.allSatisfy({ $0.string != nil }) else {
            throw wrong(key, value, "a list of texts")
        }
        return items.compactMap(\.string)
    }

    /// A list of integers; one integer is a list of one.
    func ints(_ key: String) throws(CheckpointError) -> [Int]? {
        guard let value = value(key) else { return nil }
        if let number = value.int { return [number] }
        return try integers(value, key)
    }

    private func integers(_ value: JSON, _ key: String) throws(CheckpointError) -> [Int] {
        guard let items = value.array, items.allSatisfy({ ($0.int ?? -1) >= 0 }) else {
            throw wrong(key, value, "a list of integers from 0")
        }
        return items.compactMap(\.int)
    }

    /// The members of an object; none when it is not there.
    func members(_ key: String) throws(CheckpointError) -> [(String, JSON)] {
        guard let value = value(key) else { return [] }
        guard let object = value.object else { throw wrong(key, value, "an object") }
        return object.members.map { ($0.0, $0.1) }
    }

    /// Rows of embeddings: a list for the input embedding, or lists by the embedding's name.
    func tokens(_ key: String) throws(CheckpointError) -> [(module: String, rows: [Int])] {
        guard let value = value(key) else { return [] }
        if value.array != nil { return [("", try integers(value, key))] }
        return try members(key).map { (module, value) throws(CheckpointError) in
            (module, try integers(value, "\(key).\(module)"))
        }
    }

    /// Whether the training was asked to keep the output matrix tied to the embedding.
    ///
    /// PEFT derives `modules_to_tie` and `target_modules_to_tie` from that while it runs, but does not read them from a
    /// file. Without the request, an adapter is therefore merged into an output matrix of its own, even if the file has
    /// them.
    func asksForTying() throws(CheckpointError) -> Bool {
        let isAsked = try bool("ensure_weight_tying")
        let known = EmbeddingNames.embeddings + ModuleKinds.known.outputs
        for key in ["modules_to_tie", "target_modules_to_tie"] {
            for name in try strings(key) ?? [] {
                guard ModuleSelection.isNamed(name, in: known) else {
                    throw CheckpointError(
                        file: path, "names \(name) in '\(key)', which is neither an embedding nor an output matrix")
                }
                guard isAsked else {
                    throw CheckpointError(
                        file: path, "names \(name) in '\(key)', and 'ensure_weight_tying' is not true",
                        hint: "PEFT goes by 'ensure_weight_tying': set it, or remove '\(key)'")
                }
            }
        }
        return isAsked
    }

    /// Refuses methods other than LoRA, by name.
    func checkMethod() throws(CheckpointError) {
        guard let method = try string("peft_type") else {
            throw CheckpointError(file: path, "has no 'peft_type'", hint: "LoRA adapters say \"peft_type\": \"LORA\"")
        }
        guard method.uppercased() == "LORA" else {
            throw CheckpointError(
                file: path, "'peft_type' is \(method), and only LORA can be merged",
                hint: "peft merges some of the other methods: merge_and_unload, then save_pretrained")
        }
    }

    /// Settings that only say how an adapter was made or is run while it trains.
    private static let ofTraining: Set<String> = [
        "peft_type", "task_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision",
        "inference_mode",
        "lora_dropout", "loftq_config", "eva_config", "corda_config", "lora_ga_config", "velora_config",
        "runtime_config", "megatron_core", "qalora_group_size", "parent_library", "base_model_class", "_custom_modules",
        "unsloth_fixed", "unsloth_version", "monteclora_config",
    ]
    /// Settings that are read.
    private static let read: Set<String> = [
        "r", "lora_alpha", "use_rslora", "use_dora", "lora_bias", "fan_in_fan_out", "ensure_weight_tying", "bias",
        "rank_pattern", "alpha_pattern", "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern",
        "modules_to_save", "target_parameters", "trainable_token_indices", "init_lora_weights",
        "modules_to_tie", "target_modules_to_tie",
    ]
    /// Settings that cannot be merged, with the reason. A value that means "not used" is accepted.
    private static let refused: [String: String] = [
        "layer_replication": "the adapter is for a model whose layers were repeated, which the base is not",
        "alora_invocation_tokens": "the adapter begins to work after certain tokens, which no weight can do",
        "use_qalora": "the adapter's input is pooled, which a merge of QA-LoRA alone undoes",
        "arrow_config": "the adapter is chosen token by token, which no weight can do",
        "use_bdlora": "the matrices of the adapter are block-diagonal",
        "kasa_config": "the adapter multiplies singular values of the base",
        "megatron_config": "the adapter is for Megatron's own layers",
    ]

    /// Refuses settings that change what is computed.
    func refuseOthers() throws(CheckpointError) {
        if let kind = value("init_lora_weights")?.string?.lowercased(),
            !["gaussian", "eva", "orthogonal", "mica", "true", "false"].contains(kind)
        {
            throw CheckpointError(
                file: path, "'init_lora_weights' is '\(kind)', which changes the base or is not known",
                hint: "PEFT's save_pretrained with path_initial_model_for_weight_conversion makes a plain LoRA of it")
        }
        for (key, value) in object.members where !Self.ofTraining.contains(key) && !Self.read.contains(key) {
            if value.saysNothing { continue }
            let reason = Self.refused[key].map { ": " + $0 } ?? ", a setting that resect does not know"
            throw CheckpointError(
                file: path, "has '\(key)'\(reason)",
                hint: Self.refused[key] == nil ? "remove it if it does not change what the adapter computes" : nil)
        }
    }
}

extension JSON {
    /// Whether the value means that a setting is not used: null, false, an empty text, list or object.
    var saysNothing: Bool {
        self == .null || self == .bool(false) || string?.isEmpty == true || array?.isEmpty == true
            || object?.count == 0
    }
}
