internal import Checkpoints
internal import Formats

/// From GGUF to an HF folder (or its safetensors file alone), with a configuration that transformers loads.
struct ConvertToFolder {
    private let source: Checkpoint
    private let form: Checkpoint.Form
    private let version: ConfigVersion
    private let settings: Settings
    private let plan: ModelPlan

    /// Checks every setting that a forward pass needs, and that no tensor is missing.
    init(_ checkpoint: Checkpoint, form: Checkpoint.Form, version: ConfigVersion) throws(CheckpointError) {
        source = checkpoint
        self.form = form
        self.version = version
        settings = Settings(checkpoint, try Convert.architecture(of: checkpoint))
        plan = try ModelPlan(checkpoint)
        try checkpoint.checkCompleteness()
    }

    func result() throws(CheckpointError) -> Checkpoint {
        var result = source
        let header = JSONObject([("format", .string("pt"))])
        result.tensors = try TensorTranslation(source, settings, toGGUF: false).result()
        guard form == .folder else {
            result.container = .safetensors(header: header)
            return result
        }
        var vocabulary = try Vocabulary(checkpoint: source)
        vocabulary.leaveOutUnknownMerges(of: source.path)
        let card = ModelCard.contents(of: source.metadata).map {
            Checkpoint.Companion(name: CardText.fileName, contents: $0)
        }
        result.container = .folder(
            .init(
                config: try config(vocabulary), headerMetadata: header,
                companions: try vocabulary.folderFiles(of: source.path) + [generation(vocabulary)]
                    + [card].compactMap(\.self)))
        for text in vocabulary.notes { result.note(text) }
        try checkPlan(of: result)
        return result
    }

    /// Checks that the folder computes what the file does.
    private func checkPlan(of result: Checkpoint) throws(CheckpointError) {
        var folder = result
        folder.architecture = family
        let same = try ModelPlan(folder).computesSame(
            as: plan, contextLength: source.longestContext ?? 1, ignoresWindows: false)
        guard same else {
            throw CheckpointError(
                file: source.path,
                "has settings that \(family.classes.first ?? family.name) has no members for in config.json, so that its layers would compute something else",
                hint: "keep the model in GGUF")
        }
    }

    /// The family whose class the folder gets.
    private var family: Architecture {
        let own = settings.architecture
        return own.writtenFamily.flatMap { name in Architecture.all.first { $0.name == name } } ?? own
    }

    // MARK: config.json

    /// The configuration in alphabetical order, as transformers writes it.
    private func config(_ vocabulary: Vocabulary) throws(CheckpointError) -> JSONObject {
        let architecture = settings.architecture
        var result = JSONObject(family.constants.map { ($0.key, $0.value) })
        result["architectures"] = .array(family.classes.prefix(1).map(JSON.string))
        result["model_type"] = .string(family.modelTypes.first ?? "")
        // The cast that follows replaces this with the type of the weights.
        result[version == .newest ? "dtype" : "torch_dtype"] = .string("float32")
        for (key, value) in [
            ("bos_token_id", vocabulary.beginningID.map(JSON.int)), ("eos_token_id", vocabulary.endTokens),
            // Without the member some classes take a token of their own models.
            ("pad_token_id", vocabulary.paddingID.map(JSON.int) ?? .null),
        ] {
            if let value { result[key] = value }
        }
        for setting in architecture.settings {
            // The class that is written may have another key.
            guard let key = key(of: family.setting(setting.role) ?? setting) else { continue }
            if let value = try value(of: setting) { result.set(value, at: key[...]) }
        }
        return result.sorted
    }

    /// The path of a setting in the chosen form of the configuration.
    private func key(of setting: Setting) -> [String]? {
        let key = version == .newest ? setting.newestKey : setting.writtenKey
        guard version == .oldest, key?.first == "rope_parameters" else { return key }
        return key.map { ["rope_scaling"] + $0.dropFirst() }
    }

    private func value(of setting: Setting) throws(CheckpointError) -> JSON? {
        if setting.role == SettingRole.rope.rawValue {
            if let scaling = try scaling()?.config { return scaling }
            guard version == .newest, setting.huggingFace.contains(["rope_parameters"]) else { return .null }
            return .object(JSONObject([("rope_type", .string("default"))]))
        }
        if setting.layers == .list, let list = try list(of: setting) { return list }
        guard !isComputed(setting) else { return nil }
        guard let value = try settings.value(setting.role) else {
            // Without the member some classes take a value of their own; of the original context they take null for a number.
            if setting.role == SettingRole.originalContext.rawValue { return nil }
            return setting.isNullable && key(of: setting)?.count == 1 ? .null : nil
        }
        // Integers must be valid dimensions.
        if setting.gguf.first?.type == .u32, value != .int(0) { return .int(try settings.int(setting.role)) }
        return setting.written(value)
    }

    /// Whether the class computes the value from others too.
    private func isComputed(_ setting: Setting) -> Bool {
        guard !settings.isStated(setting.role) else { return false }
        switch setting.absent {
        case .quotient: return true
        case .role(let role): return settings.architecture.setting(role).map(isComputed) ?? false
        default: return false
        }
    }

    /// The list of a setting with one entry a layer, also where the file says it in another way; `nil` for a value that holds
    /// for all layers.
    private func list(of setting: Setting) throws(CheckpointError) -> JSON? {
        let layers = plan.layers.indices
        let (value, first) = (try settings.value(setting.role), try settings.value(setting.role, layer: 0))
        guard value == nil || value?.array != nil, first != nil else { return nil }
        return .array(
            try layers.map { (layer) throws(CheckpointError) in
                setting.written(try settings.value(setting.role, layer: layer) ?? .null)
            })
    }

    /// The scaling of positions. The factors of a file become the Llama 3 settings that produce them.
    private func scaling() throws(CheckpointError) -> RopeScaling? {
        guard let rotary = plan.rotary, let factors = rotary.factors else { return plan.rotary?.scaling }
        let frequencies = RotaryPlan.frequencies(size: rotary.size, theta: rotary.theta)
        return .llama3(try RopeScaling.Llama3(factors: factors, frequencies: frequencies, file: source.path))
    }

    /// generation_config.json with the special tokens and sampling defaults of the file.
    private func generation(_ vocabulary: Vocabulary) -> Checkpoint.Companion {
        var result = JSONObject([("_from_model_config", .bool(true))])
        result["bos_token_id"] = vocabulary.beginningID.map(JSON.int)
        result["eos_token_id"] = vocabulary.endTokens
        result["pad_token_id"] = vocabulary.paddingID.map(JSON.int)
        for (key, gguf) in [("temperature", "temp"), ("top_p", "top_p"), ("min_p", "min_p")] {
            result[key] = source.metadata["general.sampling." + gguf].flatMap { $0.double == nil ? nil : $0.json }
        }
        result["top_k"] = source.metadata["general.sampling.top_k"]?.int.map(JSON.int)
        return Checkpoint.Companion(
            name: "generation_config.json", contents: Array(JSON.object(result).pretty.utf8))
    }
}

/// The form of config.json that a folder gets.
public enum ConfigVersion: Int, CaseIterable, Sendable {
    /// That of transformers 4: the base of rotary embeddings at the top, `rope_scaling`, `torch_dtype`.
    case oldest = 4
    /// That of transformers 5: `rope_parameters`, `dtype`.
    case newest = 5
}

extension Setting {
    /// A value as config.json spells it.
    func written(_ value: JSON) -> JSON {
        guard let text = values.first(where: { $0.to == value })?.from.string else { return value }
        // Keys of a table are text, also for numbers and Booleans.
        let parsed = try? JSON.parse(text)
        return parsed?.int != nil || parsed?.bool != nil ? parsed ?? .string(text) : .string(text)
    }
}

extension JSONObject {
    /// Sets the value at a path; objects on the way are made.
    mutating func set(_ value: JSON, at path: ArraySlice<String>) {
        guard let key = path.first else { return }
        guard path.count > 1 else {
            self[key] = value
            return
        }
        var inner = self[key]?.object ?? JSONObject()
        inner.set(value, at: path.dropFirst())
        self[key] = .object(inner)
    }

    /// The members in alphabetical order, those of objects too.
    fileprivate var sorted: JSONObject {
        JSONObject(
            members.map { key, value in (key, value.object.map { .object($0.sorted) } ?? value) }
                .sorted { $0.0.utf8.lexicographicallyPrecedes($1.0.utf8) })
    }
}
