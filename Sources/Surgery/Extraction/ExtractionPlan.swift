internal import Checkpoints
internal import Formats
internal import Kernels

/// What an adapter holds of the difference of two models: which weights get a low-rank change, and what is stored whole.
struct ExtractionPlan: Sendable {
    /// A weight with a low-rank change.
    struct Change: Sendable {
        let module: String
        let difference: WeightDifference
        /// Whether its rows are inputs, as in Conv1D.
        let isTransposed: Bool
    }

    /// The weights that differ.
    private(set) var changes: [Change] = []
    /// The modules that are stored whole, with their tensors after the training.
    private(set) var wholes: [(module: String, tensors: [Tensor])] = []
    /// The biases of all modules with a change, where one of them differs.
    private(set) var biases: [(module: String, tensor: Tensor)] = []
    /// Whether weights are stored [inputs, outputs].
    private(set) var fanInFanOut = false
    /// The modules of the base.
    let tree: ModuleTree

    private let models: ComparedModels

    /// Sorts the tensors that differ.
    ///
    /// - Throws: for a tensor that differs and that an adapter cannot hold.
    init(_ models: ComparedModels, threads: Int) throws(CheckpointError) {
        self.models = models
        tree = ModuleTree(models.pairs.map(\.a))
        let linears = try LinearModules(models.base)
        let sameness = try TensorPair.each(models.pairs, threads: threads) { (pair) throws(CheckpointError) in
            try pair.sameness()
        }
        let different = models.pairs.indices.filter { sameness[$0] == .none }
        var changed: [Int] = []
        for index in different where linears.kind(of: models.pairs[index].a) == .linear { changed.append(index) }
        let isTransposed = try ConvolutionRows(models.base, linears).isTransposed
        fanInFanOut = isTransposed && !changed.isEmpty
        for index in changed {
            let pair = models.pairs[index]
            try checkType(pair)
            changes.append(
                Change(
                    module: ModuleTree.module(of: pair.a.name),
                    difference: WeightDifference(base: (pair.a, models.base.path), tuned: (pair.b, models.tuned.path)),
                    isTransposed: isTransposed))
        }
        let low = Set(changed)
        for index in different where !low.contains(index) { try store(models.pairs[index], linears) }
        storeTiedOutput(linears)
    }

    private func checkType(_ pair: TensorPair) throws(CheckpointError) {
        for (tensor, model) in [(pair.a, models.base), (pair.b, models.tuned)] where !Codec.decodes(tensor.dtype) {
            throw CheckpointError(
                file: model.path, tensor: tensor.name, "has the type \(tensor.dtype), which cannot be decoded")
        }
    }

    /// Has a tensor stored that differs and gets no low-rank change.
    private mutating func store(_ pair: TensorPair, _ linears: LinearModules) throws(CheckpointError) {
        let name = pair.b.name, module = ModuleTree.module(of: name)
        if changes.contains(where: { $0.module == module }), name == module + ".bias" {
            if biases.isEmpty { storeBiases() }
            return
        }
        if wholes.contains(where: { $0.module == module }) { return }
        guard tree.isLeaf(module), !linears.isStack(pair.a) else {
            throw CheckpointError(
                file: models.tuned.path, tensor: name,
                "is \(pair.b.shape) and differs from \(models.base.path), and an adapter holds neither a low-rank change of it "
                    + "nor its module as a whole")
        }
        wholes.append((module, (tree.tensors[module] ?? []).map { models.pairs[$0].b }))
    }

    private mutating func storeBiases() {
        for change in changes {
            for index in tree.tensors[change.module] ?? [] where models.pairs[index].b.name == change.module + ".bias" {
                biases.append((change.module, models.pairs[index].b))
            }
        }
    }

    /// Stores an embedding that is the output matrix too as both: PEFT replaces modules one by one.
    private mutating func storeTiedOutput(_ linears: LinearModules) {
        let output = models.base.outputModule
        guard let embedding = models.base.embedding(linears), tree.tensors[output] == nil,
            let whole = wholes.first(where: { $0.module == ModuleTree.module(of: embedding.name) }),
            var tensor = whole.tensors.first(where: { $0.name == embedding.name })
        else { return }
        tensor.name = output + ".weight"
        wholes.append((output, [tensor]))
    }

    /// The error for two models between which there is nothing for an adapter to hold.
    var nothingToHold: CheckpointError {
        let found =
            wholes.isEmpty
            ? "has the same weights as \(models.base.path); there is nothing to extract"
            : "differs from \(models.base.path) only in \(wholeNames), and an adapter needs a weight of a layer's Linear"
        return CheckpointError(file: models.tuned.path, found)
    }

    private var wholeNames: String {
        wholes.prefix(4).map(\.module).joined(separator: ", ") + (wholes.count > 4 ? ", …" : "")
    }

    /// What the user has to see.
    var notes: [String] {
        guard !wholes.isEmpty else { return [] }
        let byteCount = wholes.reduce(0) { $0 + $1.tensors.reduce(0) { $0 + $1.byteCount } }
        return [
            "\(counted(wholes.count, "module")) that differ and are no Linear of a layer are stored whole, "
                + "\(byteCount.grouped) bytes: \(wholeNames)"
        ]
    }
}

/// Which way round the weights of a model's Linears are stored.
private struct ConvolutionRows {
    /// Whether rows are inputs, as in GPT-2's Conv1D: the biases show it where a weight is no square.
    private(set) var isTransposed = false

    init(_ checkpoint: Checkpoint, _ linears: LinearModules) throws(CheckpointError) {
        var biases: [ExactString: Int] = [:]
        for tensor in checkpoint.tensors where tensor.shape.count == 1 && tensor.name.hasSuffix(".bias") {
            biases[ExactString(ModuleTree.module(of: tensor.name))] = tensor.count
        }
        var plain: String?, transposed: String?
        for tensor in checkpoint.tensors where linears.kind(of: tensor) == .linear && tensor.shape[0] != tensor.shape[1]
        {
            guard let bias = biases[ExactString(ModuleTree.module(of: tensor.name))] else { continue }
            if bias == tensor.shape[0] { plain = plain ?? tensor.name }
            if bias == tensor.shape[1] { transposed = transposed ?? tensor.name }
        }
        if let plain, let transposed {
            throw CheckpointError(
                file: checkpoint.path, tensor: transposed,
                "has rows of inputs, unlike '\(plain)', and an adapter can say only one of both")
        }
        isTransposed = transposed != nil
    }
}
