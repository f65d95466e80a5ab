package import Checkpoints
package import Formats

/// Which modules of the base an adapter is for, as its configuration says.
package struct ModuleSelection: Sendable {
    /// What `target_modules` says.
    enum Targets: Sendable {
        /// Names, or endings of names behind a dot.
        case names([String])
        /// Every Linear but the output matrix.
        case allLinear
        /// A Python expression for whole names.
        case pattern(ModulePattern)
        /// The default modules of PEFT for the family.
        case byFamily
    }

    let targets: Targets
    /// The names of modules without an adapter.
    let excluded: [String]
    let excludedPattern: ModulePattern?
    /// Layers that have an adapter; all when it is empty.
    let layers: [Int]
    /// Finds the layer number in the name of a module.
    private let layerPattern: ModuleLayerPattern
    /// The names in `modules_to_save`: modules that were trained as a whole.
    let savedNames: [String]
    /// The same as patterns: these modules and all modules in them have no adapter.
    private let saved: [ModulePattern]
    private let path: String

    /// Reads the keys of adapter_config.json.
    ///
    /// - Throws: for values of the wrong type, patterns with unknown syntax, and layers that PEFT refuses.
    package init(_ object: JSONObject, path: String) throws(CheckpointError) {
        let reader = AdapterConfigReader(object, path: path)
        if let text = reader.value("target_modules")?.string {
            targets =
                text.lowercased() == "all-linear" ? .allLinear : .pattern(try reader.pattern(text, "target_modules"))
        } else {
            targets = try reader.strings("target_modules").map(Targets.names) ?? .byFamily
        }
        try ModuleSelection.checkLayers(reader)
        if let text = reader.value("exclude_modules")?.string {
            // PEFT ignores an empty text.
            excludedPattern = text.isEmpty ? nil : try reader.pattern(text, "exclude_modules")
            excluded = []
        } else {
            excludedPattern = nil
            excluded = try reader.strings("exclude_modules") ?? []
        }
        layers = try reader.ints("layers_to_transform") ?? []
        self.path = path
        savedNames = try reader.strings("modules_to_save") ?? []
        saved = try savedNames.map { (name) throws(CheckpointError) in
            try reader.understood(name, "modules_to_save") { (name) throws(NamePatternError) in
                try ModulePattern(savedModule: name)
            }
        }
        let patterns = try reader.strings("layers_pattern") ?? []
        layerPattern = try reader.understood(patterns.joined(separator: ", "), "layers_pattern") {
            (_) throws(NamePatternError) in try ModuleLayerPattern(patterns)
        }
    }

    /// Refuses layers that have no effect, as PEFT does.
    private static func checkLayers(_ reader: AdapterConfigReader) throws(CheckpointError) {
        let keys = ["layers_to_transform", "layers_pattern"].filter { !(reader.value($0)?.saysNothing ?? true) }
        guard let first = keys.first else { return }
        if reader.value("target_modules")?.string != nil {
            throw CheckpointError(file: reader.path, "has '\(first)', and 'target_modules' is not a list")
        }
        if first == "layers_pattern" {
            throw CheckpointError(file: reader.path, "has 'layers_pattern' without 'layers_to_transform'")
        }
    }

    /// Whether the configuration asks for an adapter of a module, as PEFT decides it; `nil` when the family decides.
    package func selects(_ module: String) throws(CheckpointError) -> Bool? {
        if excludedPattern?.matchesAll(of: module) ?? ModuleSelection.isNamed(module, in: excluded) { return false }
        if isSaved(module) { return false }
        switch targets {
        case .pattern(let pattern): return pattern.matchesAll(of: module)
        case .allLinear, .byFamily: return nil
        case .names(let names):
            if names.contains(module) { return true }
            guard ModuleSelection.isNamed(module, in: names) else { return false }
            guard !layers.isEmpty else { return true }
            return try layer(of: module).map(layers.contains) ?? false
        }
    }

    /// Whether the configuration names one of the modules that PEFT can keep tied. For others, `wte` for example, it
    /// only warns.
    var namesTiedModule: Bool {
        let known = ["embed_tokens", "lm_head"]
        if savedNames.contains(where: { ModuleSelection.isNamed($0, in: known) }) { return true }
        switch targets {
        case .names(let names): return names.contains { ModuleSelection.isNamed($0, in: known) }
        case .pattern(let pattern): return known.contains(where: pattern.matchesAll)
        case .allLinear, .byFamily: return false
        }
    }

    /// Whether a module has no adapter because `modules_to_save` names it, or one that it lies in.
    private func isSaved(_ module: String) -> Bool { saved.contains { $0.matchesAll(of: module) } }

    /// Whether a module is stored whole because of a name in `modules_to_save`; by default because of any of them.
    ///
    /// PEFT wraps every module whose name ends with one of them, even in the middle of a component.
    func storesWhole(_ module: String, as name: String? = nil) -> Bool {
        savedNames.indices.contains { index in
            guard name == nil || name == savedNames[index] else { return false }
            if saved[index].matchesAll(of: module) { return true }
            var ancestor = module
            while !ancestor.isEmpty {
                if ancestor.hasSuffix(savedNames[index]) { return true }
                ancestor = ModuleTree.module(of: ancestor)
            }
            return false
        }
    }

    /// The number of a module's layer.
    func layer(of module: String) throws(CheckpointError) -> Int? {
        do throws(NamePatternError) {
            return try layerPattern.layer(of: module)
        } catch {
            throw CheckpointError(file: path, "'layers_pattern' \(error.problem)")
        }
    }

    /// Whether a name is one of a list, or ends with one behind a dot.
    static func isNamed(_ module: String, in names: [String]) -> Bool {
        names.contains { module == $0 || module.hasSuffix("." + $0) }
    }
}
