internal import Checkpoints
internal import Formats

/// `target_modules` after a cut, with what narrows it.
struct AdapterTargetsCut {
    /// A module that is left, by the name before and after the cut.
    typealias Module = (before: String, after: String)

    private let config: AdapterConfigCut
    private let kept: [Module]

    init(_ config: AdapterConfigCut, kept: [Module]) { (self.config, self.kept) = (config, kept) }

    /// The settings that select the same modules of the base without the layers.
    ///
    /// - Parameters:
    ///   - settings: the settings before the cut.
    ///   - result: those in which all other keys follow it.
    func followed(_ settings: JSONObject, in result: JSONObject) throws(CheckpointError) -> JSONObject {
        let isNarrowed = ["exclude_modules", "layers_to_transform"].contains { !(settings[$0] ?? .null).saysNothing }
        let isAll = settings["target_modules"]?.string?.lowercased() == "all-linear"
        if !isNarrowed, isAll || settings["target_modules"] ?? .null == .null { return result }
        // A selection that resect cannot evaluate is replaced by the list of the modules that have matrices.
        let before = try? ModuleSelection(settings, path: config.path)
        if let before, let renamed = renamed(result), let after = try? ModuleSelection(renamed, path: config.path),
            selectsSame(before, after)
        {
            return renamed
        }
        // The modules one by one: whole names need nothing that narrows them.
        let selected = kept.filter { module in
            parameters(of: module.before, settings).isEmpty && before.flatMap { try? $0.selects(module.before) } ?? true
        }
        guard !selected.isEmpty else {
            throw config.refused("target_modules", "selects modules in a way that cannot follow")
        }
        var result = result
        result["target_modules"] = .array(selected.map { .string($0.after) })
        for key in ["exclude_modules", "layers_to_transform", "layers_pattern"] where result[key] != nil {
            result[key] = .null
        }
        return result
    }

    /// The settings with other layer numbers; `nil` when they cannot be rewritten.
    private func renamed(_ settings: JSONObject) -> JSONObject? {
        var result = settings
        for key in ["target_modules", "exclude_modules"] {
            guard let list = settings[key]?.array else { continue }
            guard let followed = try? config.followed(list, key) else { return nil }
            result[key] = .array(followed)
        }
        switch settings["layers_to_transform"] {
        case .number(let text):
            guard let layer = Int(text), let after = config.layers.renumbered(layer) else { return nil }
            result["layers_to_transform"] = .int(after)
        case .array(let list) where !list.isEmpty:
            let numbers = list.compactMap(\.int)
            let after = numbers.compactMap(config.layers.renumbered)
            // An empty list would be all layers.
            guard numbers.count == list.count, !after.isEmpty else { return nil }
            result["layers_to_transform"] = .array(after.map(JSON.int))
        default: break
        }
        return result
    }

    /// Whether every module of every layer that is left is selected as it was.
    private func selectsSame(_ before: ModuleSelection, _ after: ModuleSelection) -> Bool {
        do throws(CheckpointError) {
            for (old, new) in config.counterparts(of: config.modules) {
                if try before.selects(old) != after.selects(new) { return false }
            }
            return true
        } catch {
            return false
        }
    }

    // MARK: parameters

    /// The parameters of a module that `target_parameters` names: stacks of experts.
    private func parameters(of module: String, _ settings: JSONObject) -> [String] {
        (settings["target_parameters"]?.array ?? []).compactMap(\.string).compactMap { text in
            guard let dot = text.lastIndex(of: ".") else { return nil }
            let owner = text[..<dot]
            return module == owner || module.hasSuffix("." + owner) ? String(text[text.index(after: dot)...]) : nil
        }
    }

    /// The names that patterns of ranks and alphas are matched with: of the module, or of its parameters.
    func names(of module: Module, _ settings: JSONObject) -> [Module] {
        let parameters = parameters(of: module.before, settings)
        if parameters.isEmpty { return [module] }
        return parameters.map { ("\(module.before).\($0)", "\(module.after).\($0)") }
    }
}
