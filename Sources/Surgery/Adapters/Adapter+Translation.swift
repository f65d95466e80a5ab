internal import Checkpoints
internal import Formats
internal import Weights

extension Adapter {
    /// The adapter with the names and the row orders of its base, whichever containers the two have.
    ///
    /// - Throws: when the base is of another architecture, or the architecture is not known.
    func fitting(_ base: Checkpoint) throws(CheckpointError) -> Adapter {
        let isGGUF = base.form == .gguf
        switch naming {
        case .folder:
            guard isGGUF else { return try withExpertsTogether(base) }
            // The configuration of mlx-lm names modules as folders do.
            var named = base
            named.tensors = try TensorTranslation(base).result()
            var changes = WeightChanges(named, adapters: [.init(self)])
            changes.modules.align(with: pairs.map(\.module))
            for pair in pairs where isOfParameter(pair) { try changes.add(pair, 0) }
            try changes.checkCompleteness(self)
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

    /// The adapter with the names and the row orders of the other container.
    ///
    /// - Parameter base: the model whose architecture and sizes determine them, in either container.
    func translated(toGGUF: Bool, _ base: Checkpoint) throws(CheckpointError) -> Adapter {
        var model = base
        model.path = path
        let architecture = try Convert.architecture(of: base)
        let translation = TensorTranslation(model, Settings(base, architecture), toGGUF: toGGUF)
        let adapter = toGGUF ? try named(as: base) : self
        func parts(_ tensor: Tensor, _ name: String, isWeight: Bool = false) throws(CheckpointError) -> [Tensor] {
            var tensor = tensor
            tensor.name = name
            return try translation.parts(of: tensor, isWeight: isWeight)
        }
        var pairs: [Pair] = [], wholes: [Whole] = [], tokens: [(module: String, values: Tensor)] = []
        var stacks = ExpertStacks(path: path)
        for pair in adapter.pairs {
            let weight = translation.weight(of: pair.module)
            var stored = pair.a
            stored.name = weight
            if let member = try translation.stackMember(stored) {
                try stacks.add(pair, member)
                continue
            }
            if let names = try translation.matrices(ofStack: stored) {
                pairs += try pair.matrices(names.map(Adapter.module), path: path)
                continue
            }
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
        pairs += try stacks.pairs()
        for whole in adapter.wholes {
            for part in try parts(whole.values, whole.name, isWeight: true) {
                wholes.append(
                    Whole(name: part.name, isWrapped: whole.isWrapped, values: part, isTrained: whole.isTrained))
            }
        }
        for (module, values) in adapter.tokens {
            for part in try parts(values, module + ".weight") { tokens.append((Adapter.module(of: part.name), values)) }
        }
        var config = try AdapterConfig(withoutSettings: config.path, baseName: baseName)
        config.tying = self.config.tying
        config.trainableTokens = try self.config.trainableTokens.map { (module, rows) throws(CheckpointError) in
            let full = adapter.tokens.first { ModuleSelection.isNamed($0.module, in: [module]) }
            guard !module.isEmpty, let full, let part = try parts(full.values, full.module + ".weight").first else {
                return (module, rows)
            }
            return (Adapter.module(of: part.name), rows)
        }
        return Adapter(
            path: path, naming: toGGUF ? .gguf(architecture: architecture.gguf) : .folder, config: config, pairs: pairs,
            wholes: wholes, tokens: tokens, sources: sources)
    }

    /// The adapter with the names in its base's files, and with the matrices of experts as these files store them.
    private func named(as base: Checkpoint) throws(CheckpointError) -> Adapter {
        var named = base
        if base.form == .gguf { named.tensors = try TensorTranslation(base).result() }
        var modules = BaseModules(named)
        modules.align(with: pairs.map(\.module))
        let pairs = try pairs.map { (pair) throws(CheckpointError) -> [Pair] in
            if let stack = try ExpertStack(pair, self, modules, named) { return try stack.pairs() }
            return [pair.renamed(modules.name(of: pair.module))]
        }
        let wholes = wholes.map {
            Whole(
                name: modules.name(of: $0.name), isWrapped: $0.isWrapped, values: $0.values, isTrained: $0.isTrained)
        }
        return Adapter(
            path: path, naming: naming, config: config, pairs: pairs.flatMap { $0 }, wholes: wholes,
            tokens: tokens.map { (modules.name(of: $0.module), $0.values) }, sources: sources)
    }

    private static func module(of name: String) -> String {
        name.hasSuffix(".weight") ? String(name.dropLast(".weight".count)) : name
    }
}
