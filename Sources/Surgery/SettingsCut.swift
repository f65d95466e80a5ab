internal import Checkpoints
internal import Formats

/// Makes the settings of a model follow a cut, by the rules of `formats/layer-settings.json`.
struct SettingsCut {
    let cut: Range<Int>
    let layerCount: Int
    let file: String

    private func refused(_ key: String, _ why: String, hint: String? = nil) -> CheckpointError {
        CheckpointError(
            file: file, "'\(key)' \(why), so the layers \(cut.lowerBound):\(cut.upperBound) cannot be cut",
            hint: hint)
    }

    /// How many of the cut layers lie in a range.
    private func cutCount(in range: Range<Int>) -> Int { cut.clamped(to: range).count }

    private func renumbered(_ layer: Int) -> Int? {
        if cut.contains(layer) { return nil }
        return layer < cut.lowerBound ? layer : layer - cut.count
    }

    private func without<Element>(_ list: [Element]) -> [Element] {
        Array(list[..<cut.lowerBound] + list[cut.upperBound...])
    }

    // MARK: config.json

    /// The configuration after the cut; the language model's part of a multimodal one.
    func config(_ config: JSONObject, pattern: LayerPattern) throws(CheckpointError) -> JSONObject {
        var result = config
        if let text = config["text_config"]?.object {
            result["text_config"] = .object(try language(text))
            if LayerSettings.known.layerCountKeys.contains(where: { config[$0] != nil }) {
                result = try language(result)
            }
        } else {
            result = try language(config)
        }
        for key in ["quantization_config", "quantization"] {
            if let quantization = result[key] { result[key] = try renamed(quantization, pattern) }
        }
        return result
    }

    private func language(_ config: JSONObject) throws(CheckpointError) -> JSONObject {
        let known = LayerSettings.known
        var result = config
        for key in known.layerCountKeys {
            guard let count = config[key]?.int else { continue }
            guard count >= cut.upperBound else {
                throw refused(key, "is \(count), less than the layers that the tensors have")
            }
            result[key] = .int(count - cut.count)
        }
        for (key, rule) in known.config {
            guard let value = config[key] else { continue }
            result[key] = try follow(rule, key, value)
        }
        let explained = Set(known.config.map(\.key))
        for (key, value) in config.members where !explained.contains(key) {
            if value.array?.count == layerCount, layerCount > 1 {
                throw refused(
                    key, "has \(layerCount) entries, one per layer as it seems, and no rule says how it follows",
                    hint: "add its rule to formats/layer-settings.json")
            }
        }
        if config["scale_attn_by_inverse_layer_idx"] == .bool(true) {
            throw refused("scale_attn_by_inverse_layer_idx", "makes attention depend on the layer's number")
        }
        return result
    }

    private func follow(
        _ rule: LayerSetting, _ key: String, _ value: JSON
    ) throws(CheckpointError) -> JSON {
        switch (rule, value) {
        case (.list, .array(let list)):
            guard list.count == layerCount else {
                throw refused(key, "has \(list.count) entries for \(layerCount) layers")
            }
            return .array(without(list))
        case (.list, .string(let text)) where text.count == layerCount:
            return .string(String(without(Array(text))))
        case (.indices, .array(let list)):
            return .array(
                list.compactMap { entry in
                    entry.int.map { layer in renumbered(layer).map(JSON.int) } ?? entry
                })
        case (.boundary, .number):
            guard let first = value.int else { return value }
            return .int(first - cutCount(in: 0..<max(0, first)))
        case (.count, .number):
            guard let last = value.int else { return value }
            let known = min(max(0, last), layerCount)
            return .int(last - cutCount(in: layerCount - known..<layerCount))
        case (.period, .number):
            guard let period = value.int, period > 1 else { return value }
            guard cut.count % period == 0 else {
                throw refused(
                    key, "is \(period), every \(period)-th layer",
                    hint: "cut a multiple of \(period) layers, which keeps the phase")
            }
            return value
        default: return value
        }
    }

    /// Layer numbers inside module names: the ignore lists of quantizers.
    private func renamed(_ value: JSON, _ pattern: LayerPattern) throws(CheckpointError) -> JSON {
        func name(_ text: String) throws(CheckpointError) -> String? {
            if SettingsCut.isPatternOfLayers(text) {
                throw refused("quantization_config", "has the pattern '\(text)', which names layers by number")
            }
            // Module names end with the layer or go on with a dot; the pattern wants the dot.
            guard let layer = pattern.layer(of: text + ".") else { return text }
            return renumbered(layer).map { String(pattern.renumber(text + ".", to: $0).dropLast()) }
        }
        switch value {
        case .string(let text): return .string(try name(text) ?? text)
        case .array(let list):
            var result: [JSON] = []
            for entry in list {
                guard let text = entry.string else {
                    result.append(try renamed(entry, pattern))
                    continue
                }
                if let name = try name(text) { result.append(.string(name)) }
            }
            return .array(result)
        case .object(let object):
            var result = JSONObject()
            for (key, value) in object.members {
                if let name = try name(key) { result[name] = try renamed(value, pattern) }
            }
            return .object(result)
        default: return value
        }
    }

    /// Whether a text is a regular expression (`re:`, or `-:` and `+:` of GPTQ) with a number behind `layers`: what that
    /// matches cannot be said of other numbers.
    private static func isPatternOfLayers(_ text: String) -> Bool {
        guard ["re:", "-:", "+:"].contains(where: text.hasPrefix), let range = text.firstRange(of: "layers") else {
            return false
        }
        let next = text[range.upperBound...].drop { #"\.[](|^?:"#.contains($0) }
        // A class of all digits is every layer.
        return next.first?.isNumber == true && !next.hasPrefix("0-9")
    }

    // MARK: GGUF

    /// The metadata after the cut.
    func metadata(_ metadata: GGUFMetadata) throws(CheckpointError) -> GGUFMetadata {
        guard let architecture = metadata.architecture else { return metadata }
        let known = LayerSettings.known
        var result = metadata
        let countKey = "\(architecture).block_count"
        guard let count = metadata[countKey]?.int, count >= layerCount else {
            throw refused(countKey, "is not the number of layers that the tensors have, \(layerCount)")
        }
        result[countKey] = .u32(UInt32(clamping: count - cut.count))
        if known.countMatters[architecture, default: []].contains(count) {
            throw refused(
                countKey, "is \(count), by which llama.cpp recognizes a model that it computes in another way")
        }
        if let period = known.ropePeriod[architecture], cut.count % period != 0 {
            throw refused(
                "general.architecture",
                "is \(architecture), which leaves out rotary embeddings in every \(period)-th layer",
                hint: "cut a multiple of \(period) layers, or write an HF folder, which has a list for it")
        }
        let windowKey = "\(architecture).attention.sliding_window_pattern"
        if let period = known.windowPeriod[architecture], metadata[windowKey]?.array == nil {
            // The runtime would count from the new numbers: say for each layer what it was.
            let windows = (0..<layerCount).map { GGUFValue.bool($0 % period < period - 1) }
            result[windowKey] = .array(elementType: 7, without(windows))
        }
        var explained: Set<String> = [windowKey]
        for (name, rule) in known.gguf {
            let key = "\(architecture).\(name)"
            explained.insert(key)
            guard let value = metadata[key] else { continue }
            result[key] = try follow(rule, key, value)
        }
        for pair in metadata.pairs
        where pair.key.hasPrefix(architecture + ".") && !explained.contains(pair.key) {
            if pair.value.array?.count == layerCount, layerCount > 1 {
                throw refused(
                    pair.key, "has \(layerCount) entries, one per layer as it seems, and no rule says how it follows",
                    hint: "add its rule to formats/layer-settings.json")
            }
        }
        return result
    }

    private func follow(
        _ rule: LayerSetting, _ key: String, _ value: GGUFValue
    ) throws(CheckpointError) -> GGUFValue {
        if case .array(let type, let list) = value, rule == .list {
            guard list.count == layerCount else {
                throw refused(key, "has \(list.count) entries for \(layerCount) layers")
            }
            return .array(elementType: type, without(list))
        }
        guard let number = value.int, rule != .list,
            let followed = try follow(rule, key, .int(number)).int
        else { return value }
        return .u32(UInt32(clamping: followed))
    }
}
