internal import Checkpoints
internal import Formats

extension Adapter {
    /// Refuses tensors of modules that the configuration does not name, and patterns and layers to which no tensor
    /// belongs.
    func checkSelection() throws(CheckpointError) {
        let modules = pairs.filter { !isOfParameter($0) }.map(\.module)
        for module in modules where try config.selection.selects(module) == false {
            // This is a copy of the embedding's adapter for the output matrix that is tied to it.
            if config.tying.weights, ModuleSelection.isNamed(module, in: ModuleKinds.known.outputs) { continue }
            throw CheckpointError(
                file: path, "has an adapter of \(module), which adapter_config.json does not name in 'target_modules'")
        }
        let names =
            modules
            + config.targetParameters.flatMap { parameter in
                pairs.filter(isOfParameter).map {
                    $0.module + "." + (parameter.split(separator: ".").last.map(String.init) ?? "")
                }
            }
        for (key, patterns) in [
            ("rank_pattern", config.rankPatterns.map(\.pattern)),
            ("alpha_pattern", config.alphaPatterns.map(\.pattern)),
        ] {
            if let pattern = patterns.first(where: { pattern in !names.contains { pattern.matchesEnd(of: $0) } }) {
                throw CheckpointError(
                    file: config.path, "the pattern '\(pattern.text)' of '\(key)' matches no module of the adapter")
            }
        }
        var layers: Set<Int> = []
        for module in modules {
            if let layer = try config.selection.layer(of: module) { layers.insert(layer) }
        }
        if let layer = config.selection.layers.first(where: { !layers.contains($0) }), !modules.isEmpty {
            throw CheckpointError(
                file: config.path, "'layers_to_transform' names layer \(layer), of which the file has no tensor")
        }
    }
}

extension WeightChanges {
    /// Refuses an adapter that lacks some of the modules that its configuration asks for.
    func checkCompleteness(_ adapter: Adapter) throws(CheckpointError) {
        let there = Set(adapter.pairs.map { ExactString($0.module) })
        let stacks = Set(adapter.pairs.compactMap { BaseModules.stack(of: $0.module) })
        for module in modules.matrixModules where !there.contains(ExactString(module)) {
            // The base may have other stacks of layers that the training did not load, and experts that are parameters
            // there.
            guard let stack = BaseModules.stack(of: module), stacks.contains(stack),
                !module.containsBytes(of: ".experts."), try adapter.config.selection.selects(module) == true
            else { continue }
            throw CheckpointError(
                file: adapter.path, "has no adapter of \(module), which adapter_config.json names in 'target_modules'",
                hint: "the file is not whole")
        }
        for parameter in adapter.config.targetParameters {
            let name = String(parameter.split(separator: ".").last ?? "")
            for pair in adapter.pairs where adapter.isOfParameter(pair, parameter) {
                let module = pair.module + "." + name
                guard
                    changes.values.contains(where: {
                        $0.products.contains { $0.module == module || $0.module == pair.module && name == "weight" }
                    })
                else {
                    throw CheckpointError(
                        file: adapter.path,
                        "has no adapter of \(module), which adapter_config.json names in 'target_parameters'")
                }
            }
            guard adapter.pairs.contains(where: { adapter.isOfParameter($0, parameter) }) else {
                throw CheckpointError(
                    file: adapter.config.path,
                    "names \(parameter) in 'target_parameters', of which the file has no tensor")
            }
        }
    }
}
