internal import Checkpoints
internal import Formats

/// Keys of config.json, or of GGUF metadata under the architecture's prefix, that resect does not read.
struct UnreadKeys {
    /// The keys with their values, in the order of the file.
    private(set) var keys: [(key: String, value: JSON)] = []

    private let architecture: Architecture?
    private let layers = LayerSettings.known
    /// Members of config.json that are read elsewhere: for the class, the types, the special tokens and the quantizer.
    private static let readElsewhere: Set<String> = [
        "architectures", "model_type", "dtype", "torch_dtype", "bos_token_id", "eos_token_id", "pad_token_id",
        "quantization_config", "compression_config", "quantization", "transformers_weights", "_name_or_path",
        "transformers_version", "is_encoder_decoder",
    ]

    init(_ checkpoint: Checkpoint, _ architecture: Architecture?) {
        self.architecture = architecture
        switch checkpoint.container {
        case .gguf(let metadata): read(metadata)
        case .folder(let folder): read(folder.config ?? JSONObject(), at: [], checkpoint)
        case .safetensors: break
        }
    }

    private mutating func read(_ metadata: GGUFMetadata) {
        let prefix = (metadata.architecture ?? "") + "."
        for pair in metadata.pairs where pair.key.hasPrefix(prefix) {
            let key = String(pair.key.dropFirst(prefix.count))
            let isSetting = architecture?.settings.contains { $0.gguf.contains { $0.key == key } } ?? false
            // How positions are scaled has keys of its own for every way.
            let isScaling = architecture?.layer?.rope != nil && key.hasPrefix("rope.scal")
            guard !isSetting, !isScaling, !isCounted(key), !layers.gguf.contains(where: { $0.key == key }) else {
                continue
            }
            keys.append((pair.key, pair.value.json(longest: 8)))
        }
    }

    private func isCounted(_ key: String) -> Bool {
        layers.counts.gguf.values.contains(key) || layers.counts.ggufPredictors == key
    }

    private mutating func read(_ config: JSONObject, at path: [String], _ checkpoint: Checkpoint) {
        let own = architecture.map { Settings.configPath(of: checkpoint, $0) } ?? []
        for (key, value) in config.members {
            let whole = path + [key]
            // Objects on the way to the language model are looked into; others beside it belong to other parts.
            if let object = value.object, own.starts(with: whole) || layers.counts.languageConfigs.contains(key) {
                read(object, at: whole, checkpoint)
                continue
            }
            guard !isRead(key, value, isOutside: !own.isEmpty && path != own) else { continue }
            keys.append((whole.joined(separator: "."), value))
        }
    }

    private func isRead(_ key: String, _ value: JSON, isOutside: Bool) -> Bool {
        if UnreadKeys.readElsewhere.contains(key) || layers.rule(key) != nil { return true }
        let counts = layers.counts
        if (counts.keys + counts.encoder + counts.decoder + counts.predictors).contains(key) { return true }
        guard let architecture else { return false }
        if isOutside, value.object != nil, StatedCount.word(of: key) != key { return true }
        return architecture.settings.contains { $0.huggingFace.contains { $0.first == key } }
            || architecture.fixed.contains { $0.key == key } || architecture.constants.contains { $0.key == key }
    }
}
