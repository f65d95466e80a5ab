internal import Checkpoints
internal import Formats

/// The settings of PEFT's adapter_config.json after a cut.
///
/// Where a setting cannot be rewritten so that it selects the same modules as before, the modules of the file are listed one
/// by one in its place.
struct AdapterConfigCut {
    /// The layers that are cut.
    let layers: LayerRuns
    /// The layers that the adapter names.
    let named: NamedLayers
    /// The path of the file, for messages.
    let path: String
    /// The modules that have low-rank matrices, by the names that they had.
    let modules: [String]
    /// The names of tensors that were trained as a whole.
    private let wholes: [String]

    /// Settings with names of modules, and those that never have any.
    private static let read: Set<String> = [
        "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "modules_to_save",
        "target_parameters", "rank_pattern", "alpha_pattern", "trainable_token_indices", "layer_replication",
        "base_model_name_or_path", "revision", "auto_mapping", "peft_version", "task_type", "peft_type",
    ]

    init(_ adapter: Checkpoint, layers: LayerRuns, named: NamedLayers, path: String) throws(CheckpointError) {
        (self.layers, self.named, self.path) = (layers, named, path)
        var modules: [String] = [], wholes: [String] = [], known: Set<ExactString> = []
        for tensor in adapter.tensors {
            guard let name = AdapterTensorName(tensor.name) else {
                throw CheckpointError(
                    file: adapter.path, tensor: tensor.name, "is part of an adapter in a way that resect does not know")
            }
            switch name.part {
            case .a, .b, .embeddingA, .embeddingB, .magnitude, .bias:
                if known.insert(ExactString(name.module)).inserted { modules.append(name.module) }
            case .whole, .wrapped: wholes.append(name.module)
            case .tokens, .original: break
            }
        }
        (self.modules, self.wholes) = (modules, wholes)
    }

    /// The settings for the base without the layers.
    ///
    /// - Throws: when a setting cannot follow.
    func followed(_ config: JSONObject) throws(CheckpointError) -> JSONObject {
        if let method = config["peft_type"]?.string, method.uppercased() != "LORA" {
            throw CheckpointError(file: path, "'peft_type' is \(method), and only adapters of LORA follow a cut")
        }
        if let value = config["layer_replication"], value != .null {
            throw refused("layer_replication", "repeats layers of the base by their numbers")
        }
        try checkOthers(config)
        var result = config
        for key in ["modules_to_save", "target_parameters"] {
            if let list = config[key]?.array { result[key] = .array(try followed(list, key)) }
        }
        try checkSaved(config["modules_to_save"]?.array ?? [], result["modules_to_save"]?.array ?? [])
        if let tokens = config["trainable_token_indices"]?.object {
            for name in tokens.keys where named.layer(of: name + ".") != nil {
                throw refused("trainable_token_indices", "has '\(name)', which names a layer")
            }
        }
        let kept = modules.compactMap { module in named.followed(module + ".", layers).map { (module, $0.dropLast()) } }
            .map { (before: $0, after: String($1)) }
        guard kept.count > 0 || modules.isEmpty else {
            throw CheckpointError(
                file: path, "all modules with matrices of the adapter are in the layers \(layers.text), which are cut")
        }
        let targets = AdapterTargetsCut(self, kept: kept)
        result = try targets.followed(config, in: result)
        for key in ["rank_pattern", "alpha_pattern"] {
            guard let patterns = config[key]?.object, patterns.count > 0 else { continue }
            let names = kept.flatMap { name in targets.names(of: name, config) }
            result[key] = .object(try PatternsCut(self, key: key, names: names).followed(patterns))
        }
        return result
    }

    /// The error for a setting that cannot follow.
    func refused(_ key: String, _ why: String, hint: String? = nil) -> CheckpointError {
        CheckpointError(file: path, "'\(key)' \(why), so the layers \(layers.text) cannot be cut", hint: hint)
    }

    /// Refuses settings that are not known and name a layer.
    private func checkOthers(_ config: JSONObject) throws(CheckpointError) {
        func check(_ value: JSON, _ key: String) throws(CheckpointError) {
            switch value {
            case .string(let text):
                guard let parts = LayerName(text + "."), isEnd(of: named.prefix, parts.prefix) else { return }
                throw refused(key, "has '\(text)', which names a layer")
            case .array(let list): for value in list { try check(value, key) }
            case .object(let object):
                for (name, value) in object.members {
                    try check(.string(name), key)
                    try check(value, key)
                }
            default: return
            }
        }
        for (key, value) in config.members where !Self.read.contains(key) { try check(value, key) }
    }

    /// Holds `modules_to_save` against what it was: its names may be regular expressions.
    private func checkSaved(_ before: [JSON], _ after: [JSON]) throws(CheckpointError) {
        let key = "modules_to_save"
        func patterns(_ list: [JSON]) throws(CheckpointError) -> [ModulePattern] {
            try list.compactMap(\.string).map { (text) throws(CheckpointError) in
                do throws(NamePatternError) { return try ModulePattern(savedModule: text) } catch {
                    throw refused(key, "has the pattern '\(text)', which \(error.problem)")
                }
            }
        }
        let (old, new) = (try patterns(before), try patterns(after))
        let saved = wholes.map { String($0[..<($0.lastIndex(of: ".") ?? $0.endIndex)]) }
        for module in counterparts(of: saved) {
            let was = old.contains { $0.matchesAll(of: module.before) }
            guard new.contains(where: { $0.matchesAll(of: module.after) }) != was else { continue }
            throw refused(
                key, "tells layers apart in a way that cannot follow: \(module.before) would become \(module.after)",
                hint: "list the modules by their names")
        }
    }

    /// Modules by their names before and after the cut: these, and the same ones of other layers that are left.
    func counterparts(of modules: [String]) -> [(before: String, after: String)] {
        var result: [(before: String, after: String)] = [], suffixes: [String] = []
        for module in modules {
            guard let parts = LayerName(module + "."), named.layer(of: module + ".") != nil else {
                result.append((module, module))
                continue
            }
            let suffix = String(parts.suffix.dropLast())
            if !suffixes.contains(suffix) { suffixes.append(suffix) }
        }
        // The file may name fewer layers than the model has.
        for layer in 0..<named.count + 64 {  // fits: 9 digits
            guard let new = layers.renumbered(layer) else { continue }
            result += suffixes.map { ("\(named.prefix)\(layer)\($0)", "\(named.prefix)\(new)\($0)") }
        }
        return result
    }

    // MARK: names in lists

    /// A list of names, or of ends of names, after the cut.
    func followed(_ list: [JSON], _ key: String) throws(CheckpointError) -> [JSON] {
        var result: [JSON] = []
        for value in list {
            guard let text = value.string else {
                throw refused(key, "has the entry \(LayerCut.short(value)), which is not a name")
            }
            if let text = try entry(text, key) { result.append(.string(text)) }
        }
        return result
    }

    /// A name of modules, or the end of one, after the cut; `nil` when it is of a layer that is cut.
    ///
    /// - Throws: when it cannot be told whether its number is that of a layer.
    func entry(_ text: String, _ key: String) throws(CheckpointError) -> String? {
        let first = text.prefix { $0 != "." }
        if !first.isEmpty, first.allSatisfy(\.isNumber), first.count < text.count {
            // The end of a name that begins with the number.
            let names = modules + wholes
            let own = named.prefix + text
            guard names.contains(where: { $0 == own || $0.hasPrefix(own + ".") }) else {
                guard names.contains(where: { ($0 + ".").containsBytes(of: "." + text + ".") }) else {
                    throw refused(key, "has '\(text)', whose number may be that of a layer")
                }
                return text
            }
            return named.followed(own + ".", layers).map {
                String($0.dropFirst(named.prefix.count).dropLast())
            }
        }
        guard let parts = LayerName(text + "."), isEnd(of: named.prefix, parts.prefix) else { return text }
        if let other = named.others.first(where: { isEnd(of: $0, parts.prefix) }) {
            throw refused(
                key, "has '\(text)', which names layers under \(named.prefix.dropLast()) and \(other.dropLast())")
        }
        return layers.renumbered(parts.layer).map { String(parts.renumbered($0).dropLast()) }
    }

    /// Whether a text is a prefix, or its end behind a dot.
    private func isEnd(of prefix: String, _ text: Substring) -> Bool { ("." + prefix).hasSuffix("." + text) }
}
