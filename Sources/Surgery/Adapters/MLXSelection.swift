internal import Checkpoints
internal import Formats

/// The modules of a base that the configuration of mlx-lm selects, to be compared with the tensors.
struct MLXSelection {
    private let config: MLXAdapterConfig
    private let adapter: Adapter
    private let modules: BaseModules
    private let base: Checkpoint
    private let pattern: LayerPattern
    /// The layers that were trained.
    private let layers: Range<Int>

    init(
        _ config: MLXAdapterConfig, _ adapter: Adapter, _ modules: BaseModules, _ base: Checkpoint,
        layerCount: Int
    ) throws(CheckpointError) {
        // The tensors of a GGUF model have been renamed as in folders here.
        let found =
            base.form == .gguf
            ? base.tensors.lazy.compactMap { LayerName($0.name) }.first.map {
                LayerPattern(prefix: String($0.prefix), count: layerCount)
            } : try base.layers()
        guard let pattern = found else {
            throw CheckpointError(
                file: adapter.path, "is for the layers of a model, and \(base.path) has no numbered layers")
        }
        (self.config, self.adapter, self.modules, self.base, self.pattern) = (config, adapter, modules, base, pattern)
        let count = pattern.decoderCount, trained = config.layerCount ?? 0
        guard trained <= count else {
            throw CheckpointError(
                file: config.path, "says 'num_layers': \(trained), and \(base.path) has \(count) layers",
                hint: "the adapter is for another model")
        }
        layers = trained > 0 ? count - trained..<count : 0..<count
    }

    /// The layer of a name, and the rest of the name behind its number; `nil` outside the layers.
    private func part(_ name: String) -> (layer: Int, rest: String)? {
        guard let layer = pattern.layer(of: modules.name(of: name)), let own = LayerName(name), own.layer == layer
        else {
            return nil
        }
        return (layer, String(own.suffix.dropFirst()))
    }

    /// Refuses tensors that the configuration does not name, and modules that it names without tensors.
    func check() throws(CheckpointError) {
        for whole in adapter.wholes { try check(whole.name, whole.values, rest: nil) }
        guard let lowRank = config.lowRank else { return }
        for pair in adapter.pairs {
            let part = part(pair.module)
            if lowRank.keys?.contains(pair.module) == true { continue }
            if let part, let keys = lowRank.keys, !keys.contains(part.rest) {
                throw CheckpointError(
                    file: adapter.path, tensor: pair.a.name,
                    "changes \(pair.module), which adapter_config.json does not name in 'lora_parameters.keys'")
            }
            try check(pair.module, pair.a, rest: part?.rest)
        }
        try checkCompleteness(lowRank.keys)
    }

    private func check(_ name: String, _ tensor: Tensor, rest: String?) throws(CheckpointError) {
        guard let layer = part(name)?.layer else {
            let reason = config.lowRank == nil ? "'fine_tune_type' is full" : "'lora_parameters.keys' does not name it"
            throw CheckpointError(
                file: adapter.path, tensor: tensor.name,
                "is outside the \(pattern.decoderCount) layers \(pattern.prefix)* of \(base.path), and \(reason)")
        }
        guard layer < pattern.decoderCount else {
            throw CheckpointError(
                file: adapter.path, tensor: tensor.name,
                "is for layer \(layer), and \(base.path) has \(pattern.decoderCount) layers",
                hint: base.hint(forLayerOf: modules.name(of: name)))
        }
        guard layers.contains(layer) else {
            throw CheckpointError(
                file: adapter.path, tensor: tensor.name,
                "is for layer \(layer), and adapter_config.json says 'num_layers': \(config.layerCount ?? 0): the layers from "
                    + "\(layers.lowerBound) on")
        }
    }

    /// Refuses an adapter without some modules of the base that its keys name, or that it has for other layers.
    private func checkCompleteness(_ keys: [String]?) throws(CheckpointError) {
        let there = Set(adapter.pairs.map { ExactString($0.module) })
        let parts = adapter.pairs.compactMap { pair in part(pair.module).map { (pair, $0.rest) } }
        let prefix = parts.first.flatMap { LayerName($0.0.module).map { String($0.prefix) } } ?? pattern.prefix
        var seen: Set<String> = []
        let names = keys ?? parts.map(\.1).filter { seen.insert($0).inserted }
        let experts = MLXExperts(adapter, modules, base)
        for name in names {
            for module in layers.map({ "\(prefix)\($0).\(name)" }) + [name] where !there.contains(ExactString(module)) {
                guard hasMatrix(module) || experts.exist(module) else { continue }
                throw CheckpointError(
                    file: adapter.path,
                    keys == nil
                        ? "has no adapter of \(module), and has one of \(name) in another layer"
                        : "has no adapter of \(module), which adapter_config.json names in 'lora_parameters.keys'",
                    hint: "the file is not whole")
            }
        }
    }

    /// Whether a module of the base has a matrix, or a stack of them.
    private func hasMatrix(_ module: String) -> Bool {
        guard let index = modules.index(of: modules.name(of: module) + ".weight") else { return false }
        return (2...3).contains(base.tensors[index].shape.count)
    }

    /// Refuses an adapter of whole weights that lacks some weights of the layers that it has.
    ///
    /// - Parameter replaced: the names of the base's tensors that are replaced.
    func checkWholes(_ replaced: Set<ExactString>) throws(CheckpointError) {
        guard config.lowRank == nil, config.layerCount != nil else { return }
        for tensor in base.tensors where !replaced.contains(ExactString(tensor.name)) {
            guard let layer = pattern.layer(of: tensor.name), layers.contains(layer), tensor.shape.count <= 3,
                tensor.name.hasSuffix(".weight") || tensor.name.hasSuffix(".bias")
            else { continue }
            throw CheckpointError(
                file: adapter.path,
                "has no \(tensor.name), and adapter_config.json says that all weights of the layers from "
                    + "\(layers.lowerBound) on were trained", hint: "the file is not whole")
        }
    }
}
