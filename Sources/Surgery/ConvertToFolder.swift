internal import Checkpoints
internal import Formats

/// From GGUF to an HF folder (or its safetensors file alone), with a configuration that transformers loads.
struct ConvertToFolder {
    private let source: Checkpoint
    private let form: Checkpoint.Form
    private let settings: Settings
    private let plan: ModelPlan

    /// Checks every setting that a forward pass needs, and that no tensor is missing.
    init(_ checkpoint: Checkpoint, form: Checkpoint.Form) throws(CheckpointError) {
        source = checkpoint
        self.form = form
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
        result.container = .folder(
            .init(
                config: try config(vocabulary), headerMetadata: header,
                companions: try vocabulary.folderFiles(of: source.path) + [generation(vocabulary)]))
        for text in vocabulary.notes { result.note(text) }
        return result
    }

    // MARK: config.json

    /// The configuration in alphabetical order, as transformers writes it.
    private func config(_ vocabulary: Vocabulary) throws(CheckpointError) -> JSONObject {
        let architecture = settings.architecture
        var members = architecture.constants.map { ($0.key, $0.value) }
        members.append(("architectures", .array(architecture.classes.prefix(1).map(JSON.string))))
        members.append(("model_type", .string(architecture.modelTypes.first ?? "")))
        // The cast that follows replaces this with the type of the weights.
        members.append(("dtype", .string("float32")))
        for (key, value) in [
            ("bos_token_id", vocabulary.beginningID.map(JSON.int)), ("eos_token_id", vocabulary.endTokens),
            ("pad_token_id", vocabulary.paddingID.map(JSON.int)),
        ] {
            if let value { members.append((key, value)) }
        }
        for setting in architecture.settings {
            guard let key = setting.writtenKey else { continue }
            if let value = try value(of: setting) { members.append((key.joined(separator: "."), value)) }
        }
        return JSONObject(members.sorted { $0.0.utf8.lexicographicallyPrecedes($1.0.utf8) })
    }

    private func value(of setting: Setting) throws(CheckpointError) -> JSON? {
        if setting.role == SettingRole.rope.rawValue { return try scaling()?.config ?? .null }
        // Integers must be valid dimensions.
        if setting.gguf.first?.type == .u32 { return .int(try settings.int(setting.role)) }
        let value = try settings.value(setting.role)
        guard !setting.values.isEmpty else { return value }
        return setting.values.first { $0.to == value }?.from ?? value
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
