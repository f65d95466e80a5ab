internal import Checkpoints
internal import Formats

/// Updates the metadata of a GGUF file for a cut.
struct MetadataCut {
    /// The cut.
    let layers: LayerCut
    /// The architecture, the prefix of the keys.
    let architecture: String
    /// What each setting says about each layer of the decoder before the cut.
    private(set) var kinds: [[JSON]] = []
    /// Whether each layer had a window, when the runtime derives this from layer numbers.
    private(set) var derivedWindows: [Bool] = []
    private var explained: Set<String> = []

    init(layers: LayerCut, architecture: String) { (self.layers, self.architecture) = (layers, architecture) }

    func key(_ name: String) -> String { "\(architecture).\(name)" }

    /// The metadata after the cut.
    ///
    /// - Throws: when a setting or something derived from layer numbers cannot follow.
    mutating func apply(to metadata: GGUFMetadata) throws(CheckpointError) -> GGUFMetadata {
        let known = LayerSettings.known
        var result = try counted(metadata)
        try checkRuntime(metadata)
        try writeWindows(metadata, &result)
        try writeRecurrent(metadata, &result)
        for (name, rule) in known.gguf {
            // A few keys have no architecture prefix.
            let key = metadata[key(name)] == nil && metadata[name] != nil ? name : key(name)
            guard !explained.contains(key), let value = metadata[key] else { continue }
            explained.insert(key)
            if rule == .period, isDecided(name, metadata) { continue }
            result[key] = try follow(rule, key, value)
        }
        try checkSharing(metadata)
        try checkFirstLayer(metadata)
        for pair in metadata.pairs where !explained.contains(pair.key) && !MetadataCut.isGeneral(pair.key) {
            guard let list = pair.value.array, layers.count > 1,
                list.count == layers.count || list.count == layers.pattern.count
            else { continue }
            throw layers.refused(
                pair.key, "has \(list.count) entries, apparently one per layer, and resect has no rule for it",
                hint: "resect formats lists the settings that have rules")
        }
        return result
    }

    /// Whether a key is unrelated to layers, so that the length of its array is too.
    private static func isGeneral(_ key: String) -> Bool {
        ["general.", "tokenizer.", "split.", "quantize.", "imatrix.", "resect."].contains(where: key.hasPrefix)
    }

    /// The layer counts.
    private func counted(_ metadata: GGUFMetadata) throws(CheckpointError) -> GGUFMetadata {
        let counts = LayerSettings.known.counts
        guard let name = counts.gguf[layers.pattern.prefix] else {
            throw CheckpointError(
                file: layers.file,
                "no known key of \(architecture) states the number of layers under \(layers.pattern.prefix.dropLast())")
        }
        var result = metadata
        // Without its own count a decoder has as many layers as the encoder, which must not change with the cut.
        if name == "decoder_block_count" || architecture == "t5", metadata[key("decoder_block_count")] == nil {
            result[key("decoder_block_count")] = metadata[key("block_count")]
        }
        guard let count = result[key(name)]?.int, count >= layers.pattern.count,
            count - layers.pattern.count <= max(0, metadata[key(counts.ggufPredictors)]?.int ?? 0)
        else {
            throw layers.refused(
                key(name), "differs from the number of layers in the tensors, \(layers.pattern.count)")
        }
        result[key(name)] = .u32(UInt32(clamping: count - layers.cut.count))
        if layers.predictorCut > 0, let predictors = metadata[key(counts.ggufPredictors)]?.int {
            result[key(counts.ggufPredictors)] = .u32(UInt32(clamping: predictors - layers.predictorCut))
        }
        return result
    }

    /// What the runtime derives from layer numbers and no key overrides.
    private mutating func checkRuntime(_ metadata: GGUFMetadata) throws(CheckpointError) {
        let known = LayerSettings.known
        let name = "general.architecture"
        guard layers.decoderCut > 0 else { return }
        for count in known.countMatters[architecture, default: []]
        where [layers.count, layers.countAfter].contains(count) {
            throw layers.refused(
                key("block_count"),
                "is \(layers.count), \(layers.countAfter) after the cut, and llama.cpp computes a model with \(count) layers "
                    + "differently")
        }
        if let why = known.refusedTypes[architecture] { throw layers.refused(name, "is \(architecture), which \(why)") }
        let rotatesAll =
            known.ropeWithWindow.contains(architecture) && metadata[key("attention.sliding_window")]?.int == 0
        if let period = known.ropePeriod[architecture], !rotatesAll, !layers.keepsPhase(period) {
            throw layers.refused(
                name, "is \(architecture), which has no rotary embeddings in every \(period.ordinal) layer",
                hint: "cut a multiple of \(period) layers, or write an HF folder, which has a list for it")
        }
        if let own = known.ownKeys[architecture], let last = layers.kept.last, last >= own,
            layers.cut.count(in: 0..<own) > 0
        {
            throw layers.refused(
                name,
                "is \(architecture), in which the layers from \(own) on use the keys and values of the two layers before"
            )
        }
        if let scale = known.scaleOfCount[architecture], metadata[key(scale)] == nil {
            throw layers.refused(key(scale), "is missing, and the runtime derives it from the number of layers")
        }
        if known.firstDiffers.contains(architecture) {
            guard !layers.cut.contains(0) else {
                throw layers.refused(name, "is \(architecture), whose first layer differs in structure from the others")
            }
            kinds.append((0..<layers.count).map { .bool($0 == 0) })
        }
        if let shared = metadata[key("attention.shared_kv_layers")]?.int, shared > 0 {
            let first = layers.pattern.count - shared
            let isUsed = first >= 2 && layers.cut.count(in: first..<layers.pattern.count) < shared
            guard !isUsed || layers.cut.count(in: first - 2..<first) == 0 else {
                throw layers.refused(
                    key("attention.shared_kv_layers"),
                    "is \(shared), and the last layers use the keys and values of the layers \(first - 2) and \(first - 1)"
                )
            }
        }
    }

    // MARK: what the runtime derives unless a key states it

    /// States for each layer whether it has a window, which the runtime would derive from the new numbers.
    private mutating func writeWindows(
        _ metadata: GGUFMetadata, _ result: inout GGUFMetadata
    ) throws(CheckpointError) {
        let key = key("attention.sliding_window_pattern")
        let stated = metadata[key]
        guard stated?.array == nil, layers.decoderCut > 0,
            let table = LayerSettings.known.windowPeriod[architecture]
        else { return }
        explained.insert(key)
        var period = table
        if let stated {
            guard let count = stated.int, count >= 0 else { throw layers.refused(key, "is not a number of layers") }
            period = LayerPeriod(count: count, at: table.at == 0 ? 0 : count - 1)
        }
        if metadata[self.key("attention.sliding_window")]?.int == 0 { return }
        derivedWindows = (0..<layers.count).map { !period.holds($0) }
        write(derivedWindows, key, &result)
    }

    /// States for each layer whether it is recurrent.
    private mutating func writeRecurrent(
        _ metadata: GGUFMetadata, _ result: inout GGUFMetadata
    ) throws(CheckpointError) {
        let key = key("attention.recurrent_layers")
        guard metadata[key] == nil, layers.decoderCut > 0,
            let standard = LayerSettings.known.recurrentPeriod[architecture]
        else { return }
        let stated = metadata[self.key("full_attention_interval")]
        let count = stated.map(\.int) ?? standard
        guard let count, count > 0 else {
            throw layers.refused(self.key("full_attention_interval"), "is not a number of layers")
        }
        explained.insert(self.key("full_attention_interval"))
        write((0..<layers.count).map { !LayerPeriod(count: count, at: count - 1).holds($0) }, key, &result)
    }

    /// Writes a boolean for each remaining layer; false for modules for multi-token prediction.
    private mutating func write(_ values: [Bool], _ key: String, _ result: inout GGUFMetadata) {
        kinds.append(values.map(JSON.bool))
        let all = values + [Bool](repeating: false, count: layers.pattern.predictorCount)
        result[key] = .array(elementType: 7, layers.without(all).map(GGUFValue.bool))
    }

    /// Whether a list replaces this period.
    private func isDecided(_ name: String, _ metadata: GGUFMetadata) -> Bool {
        name == "full_attention_interval" && metadata[key("attention.recurrent_layers")]?.array != nil
    }

    // MARK: rules

    private mutating func follow(
        _ rule: LayerSetting, _ key: String, _ value: GGUFValue
    ) throws(CheckpointError) -> GGUFValue {
        if case .array(let type, let list) = value {
            guard rule != .unrelated else { return value }
            guard rule == .list || rule == .period, list.count == layers.count || list.count == layers.pattern.count
            else {
                throw layers.refused(key, "has \(list.count) entries for \(layers.count) layers")
            }
            kinds.append(list.prefix(layers.count).map { $0.json(longest: .max) })
            return .array(elementType: type, layers.without(list))
        }
        if rule == .list {
            // A scalar instead of a list applies to all layers, unless it is a period.
            guard key == self.key("attention.sliding_window_pattern"), let period = value.int, period > 1 else {
                return value
            }
            try layers.keepPhase(period, key)
            return value
        }
        guard let number = value.int else { throw layers.refused(key, "is not a number of layers") }
        let followed = try layers.follow(rule, key, .int(number))
        if let kind = layers.values(rule, .int(number), count: layers.count) { kinds.append(kind) }
        guard let after = followed.int, after != number else { return value }
        return .u32(UInt32(clamping: after))
    }
}
