internal import Checkpoints
internal import Formats

/// Updates `config.json` for a cut.
struct ConfigCut {
    /// The cut.
    let layers: LayerCut
    /// The layer counts that the configuration states.
    let choice: LayerChoice
    /// What each setting says about each layer of the decoder before the cut.
    var kinds: [[JSON]] = []
    /// Whether the layers store a part that their class otherwise computes from the layer number.
    var storesByLayer: (String) -> Bool = { _ in false }
    /// The modules of the layers.
    var modules: () -> [LayerModule] = { [] }
    /// The width of a layer's slice in tensors outside the layers, by key.
    private(set) var widths: [String: Int] = [:]

    init(layers: LayerCut, choice: LayerChoice) { (self.layers, self.choice) = (layers, choice) }

    /// The configuration after the cut.
    ///
    /// - Throws: when a setting cannot follow, or none states the number of layers.
    mutating func apply(to config: JSONObject) throws(CheckpointError) -> JSONObject {
        let counts = choice.counts(of: layers.pattern)
        for count in counts where count.value != layers.count {
            throw layers.refused(
                count.name,
                "is \(count.value ?? 0), but the tensors have \(layers.count) layers under \(layers.pattern.prefix.dropLast())"
            )
        }
        var paths: [[String]] = []
        for count in counts where !paths.contains(count.path) { paths.append(count.path) }
        if paths.isEmpty { paths = pathsOfLists(in: config, path: []) }
        guard !paths.isEmpty else {
            throw CheckpointError(
                file: layers.file,
                "no known key of config.json states the number of layers, \(layers.count) under \(layers.pattern.prefix.dropLast()), "
                    + "so it cannot be updated")
        }
        var result = config
        for path in paths {
            guard let object = result.object(at: path) else { continue }
            let keys = counts.filter { $0.path == path }.map(\.key)
            result = result.replacing(at: path, with: try language(object, counts: keys))
        }
        try countDecoder(&result)
        try holdFirst(config)
        return try ModuleNames(layers: layers, stacks: choice.stacks, modules: modules).renamed(result)
    }

    /// When no key counts the layers, the objects whose lists have one entry per layer: Nemotron-H counts by its
    /// pattern.
    private func pathsOfLists(in config: JSONObject, path: [String]) -> [[String]] {
        let known = LayerSettings.known
        var found: [[String]] = []
        let lists = config.members.filter { key, value in
            let length = value.array?.count ?? value.string?.count
            return known.rule(key) == .list && length == layers.count && layers.count > 1
        }
        if !lists.isEmpty { found.append(path) }
        for (key, value) in config.members where known.counts.languageConfigs.contains(key) {
            if let object = value.object { found += pathsOfLists(in: object, path: path + [key]) }
        }
        return found
    }

    /// The configuration of the model that has these layers.
    private mutating func language(_ config: JSONObject, counts: [String]) throws(CheckpointError) -> JSONObject {
        let known = LayerSettings.known
        var result = config
        for key in counts { result[key] = .int(layers.countAfter) }
        if layers.predictorCut > 0 {
            for key in known.counts.predictors {
                guard let count = config[key]?.int, count > 0 else { continue }
                result[key] = .int(max(0, count - layers.predictorCut))
            }
        }
        let type = config["model_type"]?.string ?? ""
        if let why = known.refusedTypes[type] { throw layers.refused("model_type", "is \(type), which \(why)") }
        if let part = known.storedByLayer[type], !storesByLayer(part) {
            throw layers.refused(
                "model_type", "is \(type), which computes \(part) from the layer number when it is not stored")
        }
        result = try settings(result, all: config, type: type, path: "")
        result = try derivedLists(result, before: config, type: type)
        try checkLast(result, type: type)
        try checkSharedKeys(config, type: type)
        if known.firstDiffers.contains(type) { try hold(0, "first", type) }
        if known.lastDiffers.contains(type) { try hold(layers.count - 1, "last", type) }
        for slice in known.slices { if let width = config[slice.width]?.int { widths[slice.width] = width } }
        return result
    }

    /// Applies the rules, also in nested objects that do not describe another model.
    private mutating func settings(
        _ config: JSONObject, all: JSONObject, type: String, path: String
    ) throws(CheckpointError) -> JSONObject {
        let known = LayerSettings.known
        var result = config
        for (key, value) in config.members {
            if let why = known.refused[key], value != .bool(false), value != .null {
                throw layers.refused(path + key, why)
            }
            if let rule = known.rule(key) {
                if value == .null { continue }
                if rule == .period, value.array == nil, isDecided(key, all, type: type) { continue }
                result[key] = try layers.follow(rule, path + key, value)
                if rule == .list { try checkSharing(key, path + key, value, all) }
                if let kind = layers.values(rule, value, count: layers.count) { kinds.append(kind) }
            } else if let list = value.array {
                guard list.count != layers.count && list.count != layers.pattern.count || layers.count < 2 else {
                    throw layers.refused(
                        path + key,
                        "has \(list.count) entries, apparently one per layer, and resect has no rule for it",
                        hint: "resect formats lists the settings that have rules")
                }
            } else if let object = value.object, !StatedCount.isQuantization(key), !isModel(object) {
                result[key] = .object(try settings(object, all: all, type: type, path: path + key + "."))
            }
        }
        return result
    }

    /// Refuses to cut a layer that a later one uses.
    private func checkSharing(
        _ name: String, _ key: String, _ value: JSON, _ config: JSONObject
    ) throws(CheckpointError) {
        let list = value.array ?? (value.string ?? "").map { .string(String($0)) }
        // In models with several kinds of attention, only one kind has indices.
        let types = config["layer_types"]?.array ?? []
        let indexed = JSON.string("indexed_attention")
        let isMixed = name.hasPrefix("index") && types.contains(indexed)
        try layers.checkSharing(key, name, list) { !isMixed || types.indices.contains($0) && types[$0] == indexed }
    }

    /// Whether an object is the configuration of another model.
    private func isModel(_ object: JSONObject) -> Bool {
        object["model_type"] != nil || !StatedCount.all(in: object).isEmpty
    }

    /// Whether a list replaces this period.
    private func isDecided(_ key: String, _ config: JSONObject, type: String) -> Bool {
        let known = LayerSettings.known
        let lists = known.deciders[key] ?? []
        if lists.contains(where: { !(config[$0]?.array ?? []).isEmpty }) { return true }
        return known.derived.contains { $0.key == key && $0.period != nil && $0.types.contains(type) }
    }

    // MARK: encoder and decoder

    /// Gives the decoder its own layer count when its default is that of the encoder.
    private func countDecoder(_ config: inout JSONObject) throws(CheckpointError) {
        guard choice.isEncoderDecoder, let side = LayerChoice.side(of: layers.pattern.prefix) else { return }
        let language = choice.counts.filter { $0.owner == .language }
        guard !language.contains(where: { $0.side == .decoder && $0.value != nil }),
            let count = language.first(where: { $0.side == nil && $0.value != nil }), let value = count.value
        else { return }
        let type = config["model_type"]?.string ?? ""
        guard let object = config.object(at: count.path), type.contains("t5") || type.hasPrefix("switch") else {
            throw layers.refused(count.name, "counts the layers of the encoder and of the decoder")
        }
        var result = object
        result[count.key] = .int(side == .encoder ? layers.countAfter : value)
        result["num_decoder_layers"] = .int(side == .decoder ? layers.countAfter : value)
        config = config.replacing(at: count.path, with: result)
    }

    // MARK: what stays

    /// Settings of other parts that refer to layers of the language model.
    private func holdFirst(_ config: JSONObject) throws(CheckpointError) {
        for (key, value) in config.members {
            if let what = LayerSettings.known.namedOutside[key], let last = value.numbers.max(), last >= 0,
                let first = layers.cut.runs.first?.lowerBound, first <= last
            {
                throw layers.refused(key, "is \(LayerCut.short(value)), which \(what), and resect does not renumber it")
            }
            if LayerSettings.known.rule(key) == .firstStay, value != .null {
                _ = try layers.follow(.firstStay, key, value)
            } else if let object = value.object {
                try holdFirst(object)
            }
        }
    }

    /// A layer that differs in structure from the others must stay.
    private mutating func hold(_ layer: Int, _ which: String, _ type: String) throws(CheckpointError) {
        guard !layers.cut.contains(layer) else {
            throw layers.refused("model_type", "is \(type), whose \(which) layer differs in structure from the others")
        }
        kinds.append((0..<layers.count).map { .bool($0 == layer) })
    }

    private func checkLast(_ config: JSONObject, type: String) throws(CheckpointError) {
        guard let kind = LayerSettings.known.lastKind[type], let last = config["layer_types"]?.array?.last,
            last != .string(kind)
        else { return }
        throw layers.refused(
            "layer_types", "would end with \(LayerCut.short(last)), but \(type) requires its last layer to be \(kind)")
    }

    /// The last layers may use keys and values of earlier ones, which must stay.
    private func checkSharedKeys(_ config: JSONObject, type: String) throws(CheckpointError) {
        guard let shared = config["num_kv_shared_layers"]?.int, shared > 0, shared < layers.count else { return }
        let types =
            config["layer_types"]?.array ?? derived("layer_types", config, type: type, count: layers.count) ?? []
        func kind(_ layer: Int) -> JSON { types.indices.contains(layer) ? types[layer] : .null }
        let first = layers.count - shared
        for layer in first..<layers.count where layers.renumbered(layer) != nil {
            guard let source = (0..<first).last(where: { kind($0) == kind(layer) }), layers.renumbered(source) == nil
            else {
                continue
            }
            let free = (0..<layers.count).filter { layer in
                layer >= first || (layer + 1..<first).contains { kind($0) == kind(layer) }
            }
            let slices =
                LayerSettings.known.slices.first { config[$0.width] != nil }
                .map { "; the slices of \($0.tensor) follow" } ?? ""
            throw layers.refused(
                "num_kv_shared_layers", "is \(shared), and layer \(layer) uses the keys and values of layer \(source)",
                hint: free.isEmpty
                    ? nil : "no layer uses the keys and values of \(LayerRuns(free.map { $0..<$0 + 1 }).text)\(slices)")
        }
    }
}

extension JSON {
    /// The integers in it, also in lists of lists.
    fileprivate var numbers: [Int] { int.map { [$0] } ?? (array ?? []).flatMap(\.numbers) }
}
