internal import Checkpoints
internal import Formats
internal import Kernels

/// What an adapter stores of the difference between two models: the weights with a low-rank change, and the modules
/// that are stored whole.
struct ExtractionPlan: Sendable {
    /// A weight with a low-rank change.
    struct Change: Sendable {
        let module: String
        let difference: WeightDifference
        /// Whether the weight is stored [inputs, outputs], as in Conv1D.
        let isTransposed: Bool
    }

    /// A parameter of experts with a low-rank change of each expert.
    struct StackChange: Sendable {
        /// The name of the module of experts in runtimes.
        let module: String
        let parameter: ExpertLayout.Parameter
        /// The difference for each expert; `nil` for one that did not change.
        let differences: [WeightDifference?]
    }

    /// The weights that differ.
    private(set) var changes: [Change] = []
    /// The parameters of experts that differ.
    private(set) var stacks: [StackChange] = []
    /// All parameters of experts of the base, by their names in runtimes.
    let expertParameters: [String]
    /// The names of the base's modules in runtimes.
    let modules: BaseModules
    /// The modules that are stored whole, with their tensors after the training.
    private(set) var wholes: [(module: String, tensors: [Tensor])] = []
    /// The biases of all modules with a low-rank change, if one of them differs; else none.
    private(set) var biases: [(module: String, tensor: Tensor)] = []
    /// Whether the changed weights are stored [inputs, outputs].
    private(set) var fanInFanOut = false
    /// The modules of the base.
    let tree: ModuleTree

    private let models: ComparedModels

    /// Sorts the tensors that differ.
    ///
    /// - Throws: for a tensor that differs and that an adapter cannot store.
    init(_ models: ComparedModels, threads: Int) throws(CheckpointError) {
        self.models = models
        tree = ModuleTree(models.pairs.map(\.a))
        let linears = try LinearModules(models.base)
        let sameness = try TensorPair.each(models.pairs, threads: threads) { (pair) throws(CheckpointError) in
            try pair.sameness()
        }
        let different = models.pairs.indices.filter { sameness[$0] == .none }
        modules = BaseModules(models.base)
        let layout = ExpertLayout(modules)
        expertParameters = layout.names(modules)
        var changed: [Int] = [], experts: Set<Int> = [], parameters: Set<Int> = []
        for index in different {
            if let place = layout.place(of: models.pairs[index].a.name) {
                experts.insert(index)
                parameters.insert(place.parameter)
            } else if linears.kind(of: models.pairs[index].a) == .linear {
                changed.append(index)
            }
        }
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
        for index in parameters.sorted() {
            stacks.append(try stack(layout.parameters[index], differing: experts))
        }
        let low = Set(changed).union(experts)
        for index in different where !low.contains(index) { try store(models.pairs[index], linears) }
        storeTiedOutput(linears)
    }

    /// The change of a parameter of experts.
    private func stack(
        _ parameter: ExpertLayout.Parameter, differing: Set<Int>
    ) throws(CheckpointError) -> StackChange {
        let indices = Dictionary(
            models.pairs.enumerated().map { (ExactString($1.a.name), $0) }, uniquingKeysWith: { first, _ in first })
        var differences: [WeightDifference?] = []
        for tensors in parameter.tensors {
            let own = tensors.compactMap { indices[ExactString($0.name)] }
            for index in own { try checkType(models.pairs[index]) }
            guard own.count == tensors.count, own.contains(where: differing.contains) else {
                differences.append(nil)
                continue
            }
            let (before, after) = (own.map { models.pairs[$0].a }, own.map { models.pairs[$0].b })
            guard parameter.isStack else {
                differences.append(
                    WeightDifference(
                        base: (try joined(before, models.base.path), models.base.path),
                        tuned: (try joined(after, models.tuned.path), models.tuned.path)))
                continue
            }
            differences = (0..<parameter.experts).map {
                WeightDifference(
                    base: (before[0].matrix($0), models.base.path), tuned: (after[0].matrix($0), models.tuned.path))
            }
        }
        return StackChange(
            module: modules.adapterName(of: parameter.module), parameter: parameter, differences: differences)
    }

    /// The matrix of an expert, joined from its parts.
    private func joined(_ parts: [Tensor], _ file: String) throws(CheckpointError) -> Tensor {
        if parts.count == 1 { return parts[0] }
        let same = parts.allSatisfy { $0.dtype == parts[0].dtype }
        let tensors =
            same ? parts : try parts.map { (part) throws(CheckpointError) in try part.recoded(as: .f32, file: file) }
        let rows = tensors.reduce(0) { $0 + $1.rowCount }  // fits: rows of a file
        return Tensor(
            name: parts[0].name, dtype: tensors[0].dtype, shape: [rows, parts[0].rowLength],
            recipe: .joined(RowJoin(tensors.map { RowJoin.Part(recipe: $0.recipe, run: $0.rowCount) })))
    }

    private func checkType(_ pair: TensorPair) throws(CheckpointError) {
        for (tensor, model) in [(pair.a, models.base), (pair.b, models.tuned)] where !Codec.decodes(tensor.dtype) {
            throw CheckpointError(
                file: model.path, tensor: tensor.name, "has the type \(tensor.dtype), which cannot be decoded")
        }
    }

    /// Stores a tensor that differs and gets no low-rank change, with its module.
    private mutating func store(_ pair: TensorPair, _ linears: LinearModules) throws(CheckpointError) {
        let name = pair.b.name, module = ModuleTree.module(of: name)
        if changes.contains(where: { $0.module == module }), name == module + ".bias" {
            if biases.isEmpty { storeBiases() }
            return
        }
        if wholes.contains(where: { $0.module == module }) { return }
        let isOfExperts = stacks.contains { $0.parameter.module == module }
        guard tree.isLeaf(module), !linears.isStack(pair.a), !isOfExperts else {
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

    /// Stores an embedding that is also the output matrix under both names, because PEFT replaces single modules.
    private mutating func storeTiedOutput(_ linears: LinearModules) {
        let output = models.base.outputModule
        guard let embedding = models.base.embedding(linears), tree.tensors[output] == nil,
            let whole = wholes.first(where: { $0.module == ModuleTree.module(of: embedding.name) }),
            var tensor = whole.tensors.first(where: { $0.name == embedding.name })
        else { return }
        tensor.name = output + ".weight"
        wholes.append((output, [tensor]))
    }

    /// The modules of the base, by their names in runtimes.
    var runtimeTree: ModuleTree { ModuleTree(names: models.pairs.map { modules.adapterName(of: $0.a.name) }) }

    /// What is stored whole, by the names in runtimes.
    var namedWholes: [(module: String, tensors: [Tensor])] {
        wholes.map { whole in
            let tensors = whole.tensors.map { tensor in
                var tensor = tensor
                tensor.name = modules.adapterName(of: tensor.name)
                return tensor
            }
            return (modules.adapterName(of: whole.module), tensors)
        }
    }

    /// The biases, by the names of their modules in runtimes.
    var namedBiases: [(module: String, tensor: Tensor)] {
        biases.map { (modules.adapterName(of: $0.module), $0.tensor) }
    }

    /// The error for two models whose difference gives no low-rank change.
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

    /// Notes for the user.
    var notes: [String] {
        guard !wholes.isEmpty else { return [] }
        let byteCount = wholes.reduce(0) { $0 + $1.tensors.reduce(0) { $0 + $1.byteCount } }
        return [
            "\(counted(wholes.count, "module")) that differ and are no Linear of a layer are stored whole, "
                + "\(byteCount.grouped) bytes: \(wholeNames)"
        ]
    }
}

/// The order in which the weights of a model's Linears are stored.
private struct ConvolutionRows {
    /// Whether weights are stored [inputs, outputs], as in GPT-2's Conv1D. The lengths of biases of weights that are
    /// not square show it.
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
