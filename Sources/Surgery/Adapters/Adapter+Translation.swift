internal import Checkpoints
internal import Formats
internal import Weights

extension Adapter {
    /// The adapter under the names and in the row orders that its base has, whichever container the two lie in.
    ///
    /// - Throws: when the base is of another architecture, or the architecture is not known.
    func fitting(_ base: Checkpoint) throws(CheckpointError) -> Adapter {
        let isGGUF = base.form == .gguf
        switch naming {
        case .folder:
            guard isGGUF else { return self }
            // The configuration names modules as folders do.
            var named = base
            named.tensors = try TensorTranslation(base).result()
            try WeightChanges(named, adapters: []).checkCompleteness(self)
        case .gguf(let architecture):
            let own = isGGUF ? base.metadata.architecture : try Convert.architecture(of: base).gguf
            guard own == architecture else {
                throw CheckpointError(
                    file: path, "is for the architecture '\(architecture)', and \(base.path) has '\(own ?? "none")'",
                    hint: "the adapter is for another model")
            }
            if isGGUF { return self }
        case .mlx(let config):
            var named = base
            if isGGUF { named.tensors = try TensorTranslation(base).result() }
            let fitted = try fitting(named, layerCount: base.layerCount, config)
            return isGGUF ? try fitted.translated(toGGUF: true, base) : fitted
        }
        return try translated(toGGUF: isGGUF, base)
    }

    /// The adapter under the names and in the row orders of the other container.
    ///
    /// - Parameter base: whose architecture and sizes say what they are, in either container.
    func translated(toGGUF: Bool, _ base: Checkpoint) throws(CheckpointError) -> Adapter {
        var model = base
        model.path = path
        let architecture = try Convert.architecture(of: base)
        let translation = TensorTranslation(model, Settings(base, architecture), toGGUF: toGGUF)
        func parts(_ tensor: Tensor, _ name: String, isWeight: Bool = false) throws(CheckpointError) -> [Tensor] {
            var tensor = tensor
            tensor.name = name
            return try translation.parts(of: tensor, isWeight: isWeight)
        }
        if let parameter = config.targetParameters.first {
            throw CheckpointError(
                file: config.path,
                "names \(parameter) in 'target_parameters', which resect cannot translate between folders and GGUF")
        }
        var pairs: [Pair] = [], wholes: [Whole] = [], tokens: [(module: String, values: Tensor)] = []
        for pair in self.pairs {
            let weight = pair.module + ".weight"
            // The rows of an embedding are the columns of A.
            let rows = try parts(pair.isEmbedding ? pair.a.transposed() : pair.b, weight)
            let magnitudes =
                try pair.isEmbedding
                ? nil : pair.magnitude.map { (tensor) throws(CheckpointError) in try parts(tensor, weight) }
            let biases = try pair.bias.map { (tensor) throws(CheckpointError) in try parts(tensor, weight) }
            for (index, part) in rows.enumerated() {
                var values = part
                values.name = pair.isEmbedding ? pair.a.name : pair.b.name
                pairs.append(
                    Pair(
                        module: Adapter.module(of: part.name), depth: pair.depth, isEmbedding: pair.isEmbedding,
                        a: pair.isEmbedding ? values.transposed() : pair.a, b: pair.isEmbedding ? pair.b : values,
                        scale: pair.scale, scalesB: pair.scalesB,
                        magnitude: magnitudes.map { $0[index] } ?? pair.magnitude,
                        bias: biases.map { $0[index] }))
            }
        }
        for whole in self.wholes {
            for part in try parts(whole.values, whole.name, isWeight: true) {
                wholes.append(
                    Whole(name: part.name, isWrapped: whole.isWrapped, values: part, isTrained: whole.isTrained))
            }
        }
        for (module, values) in self.tokens {
            for part in try parts(values, module + ".weight") { tokens.append((Adapter.module(of: part.name), values)) }
        }
        var config = try AdapterConfig(withoutSettings: config.path, baseName: baseName)
        config.ensuresTying = self.config.ensuresTying
        config.trainableTokens = try self.config.trainableTokens.map { (module, rows) throws(CheckpointError) in
            let full = self.tokens.first { ModuleSelection.isNamed($0.module, in: [module]) }
            guard !module.isEmpty, let full, let part = try parts(full.values, full.module + ".weight").first else {
                return (module, rows)
            }
            return (Adapter.module(of: part.name), rows)
        }
        return Adapter(
            path: path, naming: toGGUF ? .gguf(architecture: architecture.gguf) : .folder, config: config, pairs: pairs,
            wholes: wholes, tokens: tokens, sources: sources)
    }

    private static func module(of name: String) -> String {
        name.hasSuffix(".weight") ? String(name.dropLast(".weight".count)) : name
    }
}
