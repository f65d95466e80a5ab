internal import Checkpoints
internal import Formats

/// From an HF folder to GGUF, with the metadata that llama.cpp's converter writes.
struct ConvertToGGUF {
    private let source: Checkpoint
    private let settings: Settings
    private let plan: ModelPlan

    /// Checks every setting that a forward pass needs, and that no tensor is missing.
    init(_ checkpoint: Checkpoint) throws(CheckpointError) {
        var checkpoint = checkpoint
        guard checkpoint.config != nil else {
            throw CheckpointError(file: checkpoint.path, "the folder has no config.json")
        }
        let architecture = try Convert.architecture(of: checkpoint)
        let others = checkpoint.removeOtherParts(architecture)
        if !others.isEmpty { checkpoint.note(Checkpoint.leftAside(others)) }
        source = checkpoint
        settings = Settings(checkpoint, architecture)
        plan = try ModelPlan(checkpoint)
        try checkpoint.checkCompleteness()
    }

    private var prefix: String { settings.architecture.gguf }

    func result() throws(CheckpointError) -> Checkpoint {
        var result = source
        let translation = TensorTranslation(source, settings, toGGUF: true)
        result.tensors = try translation.result()
        let off = try translation.turnedOff()
        if let first = off.first {
            let others = off.count > 1 ? " and \(counted(off.count - 1, "other"))" : ""
            result.note("leaves out \(first)\(others): config.json turns off such biases")
        }
        let vocabulary = try Vocabulary(checkpoint: source)
        result.container = .gguf(try metadata(vocabulary, tensors: result.tensors))
        for text in vocabulary.notes + vocabulary.ggufNotes(file: source.path) { result.note(text) }
        try checkWindows()
        try checkNorms()
        noteWindows(in: &result)
        try checkPlan(of: result)
        result.architecture = Architecture.describing(result) ?? result.architecture
        return result
    }

    /// Whether the architecture has no GGUF key for its windows.
    private var losesWindows: Bool {
        guard let role = settings.architecture.layer?.window?.width else { return false }
        return settings.architecture.setting(role)?.gguf.isEmpty == true
    }

    /// Refuses windows that llama.cpp would not compute, or would add, because of the number of layers.
    private func checkWindows() throws(CheckpointError) {
        guard let count = settings.architecture.ggufWindowedLayerCount, let role = settings.architecture.layer?.window
        else { return }
        let (layers, hasWindows) = (plan.layers.count, try settings.value(role.width)?.int ?? 0 > 0)
        guard hasWindows != (layers == count) else { return }
        throw CheckpointError(
            file: settings.file,
            "'\(settings.key(role.width))' gives \(hasWindows ? "windows" : "no windows") to \(layers) layers, and llama.cpp "
                + "computes \(prefix) with windows when it has \(count) layers, and only then",
            hint: "keep the model in a folder")
    }

    /// Refuses norms of queries and keys that llama.cpp would not read, or would miss, because of the number of layers.
    private func checkNorms() throws(CheckpointError) {
        guard let count = settings.architecture.ggufNormedLayerCount,
            let role = settings.architecture.layer?.queryKeyNorm?.condition
        else { return }
        let (layers, hasNorms) = (plan.layers.count, plan.layers.contains { $0.attention.queryKeyNorm != nil })
        guard hasNorms != (layers >= count) else { return }
        throw CheckpointError(
            file: settings.file,
            "'\(settings.key(role.role))' gives \(hasNorms ? "norms" : "no norms") to the queries of \(layers) layers, and "
                + "llama.cpp reads \(prefix) with such norms when it has \(count) layers or more, and only then",
            hint: "keep the model in a folder")
    }

    /// Checks that the file computes what the folder does.
    ///
    /// - Throws: for a setting that GGUF has no key for, and that the runtime takes for another value.
    private func checkPlan(of result: Checkpoint) throws(CheckpointError) {
        guard let architecture = Architecture.describing(result) ?? result.architecture else { return }
        var file = result
        file.architecture = architecture
        let after = try ModelPlan(file)
        let same = after.computesSame(
            as: plan, contextLength: source.longestContext ?? 1, ignoresWindows: losesWindows)
        guard !same else { return }
        let found = Settings(file, architecture)
        let unsaid = [SettingRole.rope.rawValue] + (losesWindows ? settings.architecture.windowRoles : [])
        for setting in settings.architecture.settings {
            guard settings.isStated(setting.role), !unsaid.contains(setting.role) else { continue }
            let layers = setting.layers == nil ? 0..<1 : plan.layers.indices
            guard layers.contains(where: { differs(setting.role, in: $0, found) }) else { continue }
            // What the file would say, for the message; it may say nothing.
            let (value, other) = (try settings.value(setting.role), try? found.value(setting.role))
            throw CheckpointError(
                file: settings.file,
                "'\(settings.key(setting.role))' is \((value ?? .null).compact), which GGUF's \(prefix) cannot say: "
                    + "runtimes compute with \((other ?? .null).compact)",
                hint: "keep the model in a folder")
        }
        throw CheckpointError(
            file: settings.file,
            "has settings that GGUF's \(prefix) has no keys for, so that its layers would compute something else",
            hint: "keep the model in a folder")
    }

    /// Whether a setting has another value in a layer of the file; one that cannot be read has none.
    private func differs(_ role: String, in layer: Int, _ file: Settings) -> Bool {
        let (value, other) = (try? settings.value(role, layer: layer), try? file.value(role, layer: layer))
        guard let number = value?.double, let found = other?.double else { return value != other }
        return Float(number) != Float(found)
    }

    /// Adds a note for sliding windows that GGUF has no key for, or that llama.cpp leaves out.
    private func noteWindows(in result: inout Checkpoint) {
        guard let role = settings.architecture.layer?.window?.width,
            losesWindows || settings.architecture.ggufIgnoresWindows,
            let window = plan.layers.lazy.compactMap(\.attention.window).first,
            window < source.longestContext ?? Int.max
        else { return }
        let name = "the sliding window '\(settings.key(role))' of \(window.grouped)"
        let loss =
            losesWindows ? "GGUF's \(prefix) has no key for \(name)" : "llama.cpp leaves out \(name) in \(prefix)"
        result.note(
            loss + ": results differ for texts longer than \(window.grouped) tokens")
    }

    // MARK: metadata

    private func metadata(_ vocabulary: Vocabulary, tensors: [Tensor]) throws(CheckpointError) -> GGUFMetadata {
        var result = GGUFMetadata()
        result["general.architecture"] = .string(prefix)
        result["general.type"] = .string("model")
        for pair in try GeneralMetadata(source, tensors: tensors).pairs() { result[pair.key] = pair.value }
        for (key, value) in settings.architecture.ggufConstants { result["\(prefix).\(key)"] = .string(value) }
        for setting in settings.architecture.settings { try add(setting, to: &result) }
        result["general.quantization_version"] = .u32(2)
        let pairs = try vocabulary.ggufPairs(
            vocabularySize: try settings.int(.vocabulary), architecture: prefix, file: source.path)
        for pair in pairs { result[pair.key] = pair.value }
        return result
    }

    /// Adds a setting that the file states, that only GGUF has, or whose default the model's class has.
    private func add(_ setting: Setting, to result: inout GGUFMetadata) throws(CheckpointError) {
        switch SettingRole(rawValue: setting.role) {
        case .rope:
            for pair in try plan.rotary?.scaling?.ggufPairs(settings, prefix: prefix) ?? [] {
                result[pair.key] = pair.value
            }
        // llama.cpp's converter writes the file type between the common and the other settings.
        case .vocabulary: result["general.file_type"] = .u32(0)
        default: break
        }
        guard let key = setting.gguf.first, try isWritten(setting, key) else { return }
        if let value = try GGUFValue(of: setting, key.type, settings, layers: plan.layers.count) {
            result["\(prefix).\(key.key)"] = value
        }
    }

    /// Whether every layer has the value of a default.
    private func holds(_ standard: Setting.LayerDefault, _ role: String) throws(CheckpointError) -> Bool {
        let number = try settings.value(standard.role)?.int ?? 0
        for layer in plan.layers.indices
        where try settings.value(role, layer: layer) != standard.value(layer: layer, number: number) { return false }
        return true
    }

    private func isWritten(_ setting: Setting, _ key: Setting.GGUFKey) throws(CheckpointError) -> Bool {
        if key.isImplied {
            guard settings.isStated(setting.role) else { return false }
            if case .layers(let standard) = setting.absent { return try !holds(standard, setting.role) }
            return try settings.value(setting.role) != settings.standard(setting)
        }
        switch setting.absent {
        case .value, .length, .layers: return true
        default: return settings.isStated(setting.role) || setting.huggingFace.isEmpty
        }
    }
}
