internal import Checkpoints
internal import Formats

extension Adapter {
    /// An adapter of mlx-lm with the names that the files of its base have.
    ///
    /// - Parameters:
    ///   - base: the base, with the names that folders have.
    ///   - layerCount: how many layers it has.
    /// - Throws: when it is for another model, or when its tensors are not those that its configuration names.
    func fitting(_ base: Checkpoint, layerCount: Int, _ config: MLXAdapterConfig) throws(CheckpointError) -> Adapter {
        try MLXNames.checkWeights(of: base, for: self)
        var modules = BaseModules(base)
        let single = pairs.filter { $0.b.shape.count == 2 }.map(\.module)
        modules.align(with: single.isEmpty ? wholes.map(\.module) : single)
        let selection = try MLXSelection(config, self, modules, base, layerCount: layerCount)
        try selection.check()
        if let tied = TiedOutput(base),
            let pair = pairs.first(where: { modules.name(of: $0.module) + ".weight" == tied.output })
        {
            throw CheckpointError(
                file: path, tensor: pair.a.name,
                "changes \(pair.module), and the output matrix of \(base.path) is its embedding",
                hint: "the adapter is for another model")
        }
        var experts = MLXExperts(self, modules, base)
        let changed = try pairs.map { (pair) throws(CheckpointError) -> [Pair] in
            if pair.b.shape.count == 3 { return try experts.pairs(of: pair) }
            return [pair.renamed(modules.name(of: pair.module))]
        }.flatMap { $0 }
        let replaced = try wholes.map { (whole) throws(CheckpointError) -> [Whole] in
            if whole.values.shape.count == 3 { return try experts.wholes(of: whole) }
            try modules.checkOrder(of: whole, in: self)
            return [Whole(name: modules.name(of: whole.name), isWrapped: false, values: whole.values)]
        }.flatMap { $0 }
        try selection.checkWholes(Set(replaced.map { ExactString($0.name) }))
        return Adapter(
            path: path, naming: .folder, config: self.config, pairs: changed + (try experts.stackedPairs()),
            wholes: replaced, tokens: [], sources: sources)
    }
}

extension Adapter.Whole {
    /// The module of the tensor.
    var module: String { String(name[..<(name.lastIndex(of: ".") ?? name.endIndex)]) }
}

extension Adapter.Pair {
    /// The same pair for another module.
    func renamed(_ module: String) -> Adapter.Pair { with(module: module, a: a, b: b) }

    /// The same pair with another module and other matrices.
    func with(module: String, a: Tensor, b: Tensor) -> Adapter.Pair {
        Adapter.Pair(
            module: module, depth: depth, isEmbedding: isEmbedding, a: a, b: b, scale: scale, scalesB: scalesB,
            magnitude: magnitude, bias: bias)
    }
}

extension BaseModules {
    /// Refuses a whole matrix [outputs, inputs] where the base stores [inputs, outputs].
    fileprivate func checkOrder(of whole: Adapter.Whole, in adapter: Adapter) throws(CheckpointError) {
        guard areInputsFirst, whole.values.shape.count == 2, !MLXNames.isEmbedding(whole.module) else { return }
        throw CheckpointError(
            file: adapter.path, tensor: whole.name,
            "is a whole weight [outputs, inputs], and \(file) stores weights as [inputs, outputs] (Conv1D)",
            hint: "mlx_lm.fuse writes such a model")
    }
}
