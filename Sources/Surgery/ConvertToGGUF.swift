internal import Checkpoints
internal import Formats

/// From an HF folder to GGUF, with the metadata that llama.cpp's converter writes.
struct ConvertToGGUF {
    private let source: Checkpoint
    private let settings: Settings
    private let plan: ModelPlan

    /// Checks every setting that a forward pass needs, and that no tensor is missing.
    init(_ checkpoint: Checkpoint) throws(CheckpointError) {
        source = checkpoint
        guard checkpoint.config != nil else {
            throw CheckpointError(file: checkpoint.path, "the folder has no config.json")
        }
        settings = Settings(checkpoint, try Convert.architecture(of: checkpoint))
        plan = try ModelPlan(checkpoint)
        try checkpoint.checkCompleteness()
    }

    private var prefix: String { settings.architecture.gguf }

    func result() throws(CheckpointError) -> Checkpoint {
        var result = source
        result.tensors = try TensorTranslation(source, settings, toGGUF: true).result()
        let vocabulary = try Vocabulary(checkpoint: source)
        result.container = .gguf(try metadata(vocabulary, parameterCount: result.parameterCount))
        for text in vocabulary.notes + vocabulary.ggufNotes(file: source.path) { result.note(text) }
        noteWindows(in: &result)
        return result
    }

    /// Adds a note for settings without a GGUF key: sliding windows.
    private func noteWindows(in result: inout Checkpoint) {
        guard let role = settings.architecture.layer?.window?.width, settings.architecture.setting(role)?.gguf.isEmpty == true,
            let window = plan.layers.lazy.compactMap(\.attention.window).first,
            window < source.longestContext ?? Int.max
        else { return }
        result.note(
            "GGUF's \(prefix) has no key for the sliding window '\(settings.key(role))' of \(window.grouped): "
                + "results differ for texts longer than \(window.grouped) tokens")
    }

    // MARK: metadata

    private func metadata(_ vocabulary: Vocabulary, parameterCount: Int) throws(CheckpointError) -> GGUFMetadata {
        var result = GGUFMetadata()
        result["general.architecture"] = .string(prefix)
        result["general.type"] = .string("model")
        try addSampling(to: &result)
        result["general.name"] = .string(name)
        result["general.size_label"] = .string(SizeLabel.text(parameterCount))
        for setting in settings.architecture.settings { try add(setting, to: &result) }
        result["general.quantization_version"] = .u32(2)
        let pairs = try vocabulary.ggufPairs(
            vocabularySize: try settings.int(.vocabulary), architecture: prefix, file: source.path)
        for pair in pairs { result[pair.key] = pair.value }
        return result
    }

    /// The name of the model: from the configuration, else the folder's name.
    private var name: String {
        let stated = source.config?["_name_or_path"]?.string ?? ""
        return (stated.isEmpty ? source.path : stated).lastPathComponent
    }

    /// Adds a setting that the file states or that only GGUF has.
    private func add(_ setting: Setting, to result: inout GGUFMetadata) throws(CheckpointError) {
        switch SettingRole(rawValue: setting.role) {
        case .rope:
            for pair in try plan.rotary?.scaling?.ggufPairs(prefix: prefix, file: settings.file) ?? [] {
                result[pair.key] = pair.value
            }
        // llama.cpp's converter writes the file type between the common and the other settings.
        case .vocabulary: result["general.file_type"] = .u32(0)
        default: break
        }
        guard let key = setting.gguf.first, settings.isStated(setting.role) || setting.huggingFace.isEmpty else {
            return
        }
        result["\(prefix).\(key.key)"] = try value(of: setting, key.type)
    }

    private func value(_ number: Double, _ role: String) throws(CheckpointError) -> GGUFValue {
        guard Float(number).isFinite else {
            throw CheckpointError(
                file: settings.file, "'\(settings.key(role))' is \(number), which exceeds the 32 bits of a GGUF file")
        }
        return .f32(Float(number))
    }

    private func value(of setting: Setting, _ type: Setting.ValueType) throws(CheckpointError) -> GGUFValue? {
        let role = setting.role
        switch type {
        case .u32: return .u32(UInt32(try settings.int(role, limit: Int(UInt32.max))))
        case .f32: return try settings.double(role).map { (number) throws(CheckpointError) in try value(number, role) }
        }
    }

    /// Sampling defaults from generation_config.json.
    private func addSampling(to result: inout GGUFMetadata) throws(CheckpointError) {
        guard let file = source.companion("generation_config.json") else { return }
        let generation = try FileSystem.json(file.contents, path: source.path + "/" + file.name)
        result["general.sampling.top_k"] = generation["top_k"]?.int.map { .i32(Int32(clamping: $0)) }
        for (key, gguf) in [("top_p", "top_p"), ("min_p", "min_p"), ("temperature", "temp")] {
            result["general.sampling." + gguf] = generation[key]?.double.map { .f32(Float($0)) }
        }
        let penalty = generation["penalty_repeat"] ?? generation["repetition_penalty"]
        result["general.sampling.penalty_repeat"] = penalty?.double.map { .f32(Float($0)) }
    }
}
