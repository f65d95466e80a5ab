internal import Checkpoints
internal import Formats

/// Layer numbers in module names: ignore lists and per-module settings of quantizers.
/// A name may have another prefix than the tensors, or only part of it: `layers.4.mlp`. It is renumbered when it can
/// only refer to the layers that are cut.
struct ModuleNames {
    /// The cut.
    let layers: LayerCut
    /// All numbered tensors of the model.
    let stacks: [LayerStack]
    /// The modules of the layers before the cut, by which a pattern is tried.
    let modules: () -> [LayerModule]

    /// The configuration with renumbered names in the settings of every quantizer.
    func renamed(_ config: JSONObject) throws(CheckpointError) -> JSONObject {
        var result = config
        for (key, value) in config.members {
            if StatedCount.isQuantization(key) {
                result[key] = try renamed(value)
            } else if let object = value.object {
                result[key] = .object(try renamed(object))
            }
        }
        return result
    }

    /// A value with renumbered names; names of cut modules are removed from lists and objects.
    func renamed(_ value: JSON) throws(CheckpointError) -> JSON {
        switch value {
        case .string(let text): return .string(try name(text) ?? text)
        case .array(let list):
            var result: [JSON] = []
            for entry in list {
                guard let text = entry.string else {
                    result.append(try renamed(entry))
                    continue
                }
                if let name = try name(text) { result.append(.string(name)) }
            }
            return .array(result)
        case .object(let object):
            var result = JSONObject()
            for (key, value) in object.members {
                if let name = try name(key) { result[name] = try renamed(value) }
            }
            return .object(result)
        default: return value
        }
    }

    /// A name after the cut; `nil` when its layer was cut.
    private func name(_ text: String) throws(CheckpointError) -> String? {
        if ModuleNames.isPattern(text) { return try pattern(text) }
        // A module name may end with the layer number; the parser requires a dot after it.
        guard let parts = LayerName(text + ".") else {
            // A number in front of all dots may be that of a layer, when the quantizer compares the ends of names.
            guard let first = text.split(separator: ".").first, let number = Int(first), number < layers.count,
                text.utf8.count > first.utf8.count
            else { return text }
            throw layers.refused("quantization_config", "names '\(text)', which may be a module of any list")
        }
        guard try isOurs(String(parts.prefix), text) else { return text }
        return layers.renumbered(parts.layer).map { String(Substring(parts.renumbered($0).utf8.dropLast())) }
    }

    /// Whether names with this prefix refer to the layers that are cut.
    private func isOurs(_ prefix: String, _ text: String) throws(CheckpointError) -> Bool {
        let ours = layers.pattern.prefix
        if prefix.utf8.elementsEqual(ours.utf8) { return true }
        if stacks.contains(where: { $0.prefix.utf8.elementsEqual(prefix.utf8) }) { return false }
        let list = prefix.split(separator: ".").last ?? ""
        let alike = stacks.filter { $0.components.last == list }
        // Modules of another list, such as experts of any layer, or of a part that is not in the file.
        guard alike.contains(where: { $0.prefix == ours }) else { return false }
        let words = Set(prefix.split(separator: "."))
        let ends = alike.filter { ("." + $0.prefix).hasSuffix("." + prefix) }
        let same = alike.filter { Set($0.components) == words }
        for found in [ends, same] where found.count == 1 { return found[0].prefix == ours }
        if alike.count == 1 { return !LayerChoice.namesOther(prefix) || LayerChoice.namesOther(ours) }
        if ends.isEmpty, LayerChoice.namesOther(prefix) != LayerChoice.namesOther(ours) { return false }
        let rest = alike.filter { LayerChoice.namesOther($0.prefix) == LayerChoice.namesOther(prefix) }
        if rest.count == 1, ends.isEmpty || ends.contains(rest[0]) { return rest[0].prefix == ours }
        throw layers.refused(
            "quantization_config",
            "names the module '\(text)', which may belong to the layers under "
                + alike.map { String($0.prefix.dropLast()) }.joined(separator: " or "))
    }

    // MARK: patterns

    /// Whether a text is a pattern: it has a prefix (`re:`; GPTQ's `-:` and `+:`) or special characters.
    private static func isPattern(_ text: String) -> Bool {
        ModulePatternTrial.prefixes.contains(where: text.hasPrefix)
            || text.contains { #"\()[]|*+^$?"#.contains($0) }
    }

    /// A pattern after the cut.
    ///
    /// - Throws: when it would then be about other modules of the layers that stay than before.
    private func pattern(_ text: String) throws(CheckpointError) -> String? {
        let renamed = try renumbered(pattern: text)
        guard ModulePatternTrial(text).isSame(as: renamed.map(ModulePatternTrial.init), for: modules()) else {
            throw layers.refused(
                "quantization_config",
                "has the pattern '\(text)', which would be about other layers after the cut")
        }
        return renamed
    }

    /// A regular expression, renumbered when it contains a single layer number.
    private func renumbered(pattern text: String) throws(CheckpointError) -> String? {
        let list = String(layers.pattern.listName)
        var search = text.startIndex..<text.endIndex
        var number: (range: Range<String.Index>, layer: Int)?
        while let range = text.firstRange(of: list, in: search) {
            search = range.upperBound..<text.endIndex
            let next = text[range.upperBound...].drop { #"\.[](|^?:"#.contains($0) }
            // A class of all digits matches every layer.
            guard next.first?.isNumber == true, !next.hasPrefix("0-9") else { continue }
            let between = text[range.upperBound..<next.startIndex]
            let digits = next.prefix { $0.isNumber }
            let after = next.dropFirst(digits.count)
            guard between == "." || between == #"\."#, let layer = Int(digits), number == nil,
                after.isEmpty || after.hasPrefix(".") || after.hasPrefix(#"\."#) || after.hasPrefix("$")
                    || after.hasPrefix(")"), stacks.filter({ $0.components.last == Substring(list) }).count == 1
            else {
                throw layers.refused("quantization_config", "has the pattern '\(text)', which names layers by number")
            }
            number = (digits.startIndex..<digits.endIndex, layer)
        }
        guard let number else { return text }
        return layers.renumbered(number.layer).map {
            text[..<number.range.lowerBound] + String($0) + text[number.range.upperBound...]
        }.map { String($0) }
    }
}

extension String {
    /// The first occurrence of a text in a range.
    fileprivate func firstRange(of text: String, in range: Range<Index>) -> Range<Index>? {
        guard !text.isEmpty else { return nil }
        return self[range].firstRange(of: text)
    }
}
