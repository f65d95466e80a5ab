internal import Checkpoints
internal import Formats

extension Adapter {
    /// Checks the tensors of the file against its configuration.
    func checkConfiguration() throws(CheckpointError) {
        for pair in pairs where !isOfParameter(pair) {
            let stated = config.rank(of: pair.module)
            guard stated == pair.a.shape[0] else {
                throw CheckpointError(
                    file: config.path,
                    "says rank \(stated) for \(pair.module), whose matrix \(pair.a.name) has \(pair.a.shape[0])")
            }
        }
        for pair in pairs where (pair.magnitude != nil) != config.usesDoRA {
            throw CheckpointError(
                file: config.path,
                config.usesDoRA
                    ? "says use_dora, and \(pair.module) has no lora_magnitude_vector"
                    : "does not say use_dora, and \(pair.module) has a lora_magnitude_vector")
        }
        for pair in pairs where (pair.bias != nil) != config.hasLoRABias && !pair.isEmbedding {
            throw CheckpointError(
                file: config.path,
                config.hasLoRABias
                    ? "says lora_bias, and \(pair.module) has no lora_B.bias"
                    : "does not say lora_bias, and \(pair.module) has a lora_B.bias")
        }
        if let pair = pairs.first(where: { config.scale(of: $0.module, rank: 1) == 0 }) {
            throw CheckpointError(
                file: config.path, "says an alpha of 0 for \(pair.module), so the adapter would change nothing there")
        }
        if let pair = pairs.first(where: { !config.scale(of: $0.module, rank: 1).isFinite }) {
            throw CheckpointError(file: config.path, "says a lora_alpha for \(pair.module) that is beyond f32")
        }
        try checkSelection()
        try checkWholes()
    }

    /// Whether a pair changes a stack of experts: a parameter of its module that `target_parameters` names.
    func isOfParameter(_ pair: Pair) -> Bool { config.targetParameters.contains { isOfParameter(pair, $0) } }

    /// Whether a parameter belongs to the module of a pair, by the names alone.
    func isOfParameter(_ pair: Pair, _ parameter: String) -> Bool {
        let dot = parameter.lastIndex(of: ".") ?? parameter.startIndex
        let module = String(parameter[..<dot])
        // A name without a module is a parameter of any module of experts.
        return ModuleSelection.isNamed(pair.module, in: [module.isEmpty ? ExpertNames.known.module : module])
    }

    /// Refuses whole tensors that the configuration does not name, and names without a tensor.
    private func checkWholes() throws(CheckpointError) {
        let outer = EmbeddingNames.embeddings + ModuleKinds.known.outputs
        let adapted = Set(pairs.map { ExactString($0.module) })
        for whole in wholes where !whole.isWrapped {
            let isBias = whole.name.hasSuffix(".bias")
            let isAnnounced =
                whole.isTrained || (isBias && config.biases == .all)
                || (!isBias && ModuleSelection.isNamed(ModuleTree.module(of: whole.name), in: outer))
            guard isAnnounced else {
                throw CheckpointError(
                    file: path, tensor: whole.values.name,
                    isBias
                        ? "is a bias, and adapter_config.json says 'bias': '\(config.biases.rawValue)'"
                        : "is a whole weight, which adapter_config.json does not name in 'modules_to_save'")
            }
        }
        for whole in wholes where whole.isWrapped && whole.name.hasSuffix(".bias") {
            guard config.biases != .none, adapted.contains(ExactString(String(whole.name.dropLast(".bias".count))))
            else {
                throw CheckpointError(
                    file: path, tensor: whole.values.name,
                    "is a bias, and adapter_config.json says 'bias': '\(config.biases.rawValue)'")
            }
        }
        for name in config.selection.savedNames {
            let isThere = wholes.contains { config.selection.storesWhole(ModuleTree.module(of: $0.name), as: name) }
            guard isThere else {
                throw CheckpointError(
                    file: config.path, "names \(name) in 'modules_to_save', of which the file has no tensor")
            }
        }
    }
}
