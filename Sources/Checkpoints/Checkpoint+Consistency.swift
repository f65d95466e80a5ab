package import Formats

extension Checkpoint {
    /// Checks the tensors against the configuration: no layer is missing, and every layer count and the length of every
    /// per-layer list match. Models of a known architecture must have all tensors.
    ///
    /// - Throws: when they disagree; a runtime would refuse such a file, or load it and be wrong.
    public func checkConsistency() throws(CheckpointError) {
        // An encoder of images or sound has counts of its own, and no edit changes its layers.
        guard content == .model else { return }
        try checkLayerCounts()
        if hasKnownNames { try checkCompleteness() }
    }

    private func checkLayerCounts() throws(CheckpointError) {
        let choice = LayerChoice(self)
        switch try choice.outcome() {
        case .none, .ambiguous: return
        case .torn(let stack): throw choice.torn(stack)
        case .found(let pattern):
            switch container {
            case .gguf(let metadata): try check(metadata, pattern)
            case .folder(let folder):
                if let config = folder.config { try check(config, pattern, choice.counts(of: pattern)) }
            case .safetensors: return
            }
        }
    }

    private func check(_ metadata: GGUFMetadata, _ pattern: LayerPattern) throws(CheckpointError) {
        let known = LayerSettings.known
        let prefix = metadata.architecture ?? ""
        guard let key = known.counts.gguf[pattern.prefix] else { return }
        let count = metadata.setting(key)?.int ?? metadata.setting("block_count")?.int
        // A file may count modules for multi-token prediction that it does not contain.
        let absent = max(0, metadata.setting(known.counts.ggufPredictors)?.int ?? 0) - pattern.predictorCount
        if let count, absent > 0, count > pattern.count, count - pattern.count <= absent { return }
        try expect("\(prefix).\(key)", count, pattern.count, pattern)
        guard pattern.prefix == "blk." else { return }
        for (key, rule) in known.gguf where rule == .list {
            guard let list = (metadata.setting(key) ?? metadata[key])?.array else { continue }
            try expectLength(of: metadata.setting(key) == nil ? key : "\(prefix).\(key)", list.count, pattern)
        }
    }

    private func check(
        _ config: JSONObject, _ pattern: LayerPattern, _ counts: [StatedCount]
    ) throws(CheckpointError) {
        let known = LayerSettings.known
        for key in known.counts.keys {
            if let value = config[key], value.int == nil, value != .null {
                throw CheckpointError(file: path, "\(key) is \(value.compact), not a number of layers")
            }
        }
        if let first = counts.first, !counts.contains(where: { $0.value == pattern.decoderCount }) {
            try expect(first.name, first.value, pattern.decoderCount, pattern)
        }
        for path in Set(counts.map(\.path)) {
            let object = config.object(at: path) ?? JSONObject()
            for (key, rule) in known.config where rule == .list {
                guard let list = object[key]?.array, !list.isEmpty else { continue }
                try expectLength(of: (path + [key]).joined(separator: "."), list.count, pattern)
            }
        }
    }

    private func expect(
        _ what: String, _ value: Int?, _ layers: Int, _ pattern: LayerPattern
    ) throws(CheckpointError) {
        guard value == layers else {
            throw CheckpointError(
                file: path,
                "\(what) is \(value.map(String.init) ?? "missing"); the tensors have \(layers) layers under \(pattern.prefix.dropLast())"
            )
        }
    }

    /// A list has an entry for each layer of the decoder, and may have more for modules for multi-token prediction.
    private func expectLength(of what: String, _ length: Int, _ pattern: LayerPattern) throws(CheckpointError) {
        guard length == pattern.count || length == pattern.decoderCount else {
            throw CheckpointError(
                file: path, "the length of \(what) is \(length); the tensors have \(pattern.decoderCount) layers")
        }
    }
}

extension JSONObject {
    /// The object that a path of members leads to.
    package func object(at path: [String]) -> JSONObject? {
        var object = self
        for key in path {
            guard let next = object[key]?.object else { return nil }
            object = next
        }
        return object
    }

    /// The object with the member at a path replaced.
    package func replacing(at path: some Collection<String>, with object: JSONObject) -> JSONObject {
        guard let key = path.first else { return object }
        var result = self
        let inner = result[key]?.object ?? JSONObject()
        result[key] = .object(inner.replacing(at: path.dropFirst(), with: object))
        return result
    }
}
