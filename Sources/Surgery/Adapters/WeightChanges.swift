internal import Checkpoints
internal import Formats

/// The changes that adapters make to a base, by tensor.
struct WeightChanges {
    /// The product that one pair of matrices adds to a weight.
    struct Product: Sendable {
        /// The number of the adapter.
        let adapter: Int
        /// The module, as the adapter names it.
        let module: String
        /// The two sides of the product, [rows, rank] and [rank, columns] of the weight.
        let left: ThinMatrix.Term
        let right: ThinMatrix.Term
        /// Whether the left side is A. The weight of the adapter and the scale are factors of A.
        let leftIsA: Bool
        let rank: Int
        let scale: Float
        /// Whether B is multiplied by the scale, and rounded, before the product.
        var scalesB = false
        /// The index of the matrix in a stack to which it is added.
        var matrix = 0
        /// The trained norms (DoRA).
        var magnitude: Tensor?
        /// Whether these are norms of columns.
        var normsAreOfColumns = false
    }

    /// All changes of one tensor, in the order in which they are made.
    struct Change: Sendable {
        /// The tensor that replaces it.
        var replacement: Tensor?
        var products: [Product] = []
        /// Vectors that are added to a bias, each with its factor.
        var added: [(values: Tensor, factor: Float)] = []
        /// Trained rows.
        var rows: (values: Tensor, rows: [Int: Int])?
    }

    var base: Checkpoint
    let adapters: [MergeAdapters.Weighted]
    var modules: BaseModules
    var changes: [ExactString: Change] = [:]
    /// The index of the adapter that resized the vocabulary of the base.
    var resizing: Int?
    /// Whether a tensor of an adapter has replaced one of the base before any change was computed.
    var replacesInBase = false
    /// The names of an embedding that is the output matrix too; `nil` when they are not tied.
    var tied: TiedOutput?

    /// A base without changes.
    init(_ base: Checkpoint, adapters: [MergeAdapters.Weighted]) {
        (self.base, self.adapters) = (base, adapters)
        modules = BaseModules(base)
        tied = TiedOutput(base)
    }

    /// Adds all changes that an adapter makes.
    mutating func add(_ number: Int) throws(CheckpointError) {
        let adapter = adapters[number].adapter
        modules.align(with: adapter.pairs.map(\.module))
        try resize(for: number)
        try untie(for: adapter)
        for pair in adapter.pairs where !(try isCopyOfTied(pair, adapter)) { try add(pair, number) }
        for whole in adapter.wholes where !(try isCopyOfTied(whole, adapter)) { try replace(whole, number) }
        for (module, values) in adapter.tokens where !(try isCopyOfTied(module, values, adapter)) {
            try requireWeightOne(number, values)
            try replaceRows(of: module, values, adapter)
        }
        try checkCompleteness(adapter)
    }

    /// Refuses a weight other than 1 for a tensor that was trained as a whole: only low-rank changes can be scaled.
    func requireWeightOne(_ number: Int, _ tensor: Tensor) throws(CheckpointError) {
        guard adapters[number].weight != 1 else { return }
        throw CheckpointError(
            file: adapters[number].adapter.path, tensor: tensor.name,
            "was trained as a whole, and a weight of \(adapters[number].weight) is for low-rank changes alone")
    }

    /// The weight of the base that a tensor of an adapter is for.
    ///
    /// - Throws: when the base has no such tensor.
    func weight(_ name: String, of tensor: Tensor, _ module: String, in adapter: Adapter) throws(CheckpointError)
        -> Tensor
    {
        guard let index = modules.index(of: name) else {
            throw CheckpointError(
                file: adapter.path, tensor: tensor.name, "changes \(module), and \(base.path) has no \(name)",
                hint: base.hint(forLayerOf: name))
        }
        return base.tensors[index]
    }
}
