public import Checkpoints
public import Formats
internal import Kernels
internal import Parallel

/// Gets a LoRA adapter out of a model before and after a training: what the base needs to become the trained model, as far
/// as the ranks go.
///
/// Weights of Linears in the layers of the language model that differ get a low-rank change. Modules that have none, such as
/// norms and embeddings, are stored whole where they differ.
public struct ExtractAdapter: Sendable {
    /// The ranks.
    public let ranks: RankChoice
    /// The type of the low-rank matrices.
    public let dtype: DType

    /// A weight with a low-rank change.
    public struct Module: Sendable {
        /// The module, as the base names it.
        public let name: String
        /// The rank of the change.
        public let rank: Int
        /// The squared norm of the difference.
        public let squares: Double
        /// How much of it the change holds.
        public let heldSquares: Double

        /// The share of the squared norm that the change holds.
        public var held: Double { min(1, heldSquares / squares) }
    }

    /// An adapter with what is known of it.
    public struct Result: Sendable {
        /// The adapter, as a folder of PEFT's.
        public let adapter: Checkpoint
        /// The weights with a low-rank change, in the order of the base.
        public let modules: [Module]
        /// The modules that are stored whole.
        public let wholeModules: [String]

        /// The share of the squared norm of all differences that the low-rank changes hold.
        public var held: Double {
            min(1, modules.reduce(0) { $0 + $1.heldSquares } / modules.reduce(0) { $0 + $1.squares })
        }
    }

    /// An extraction. The low-rank matrices are F32, F16 or BF16.
    public init(ranks: RankChoice, dtype: DType = .f32) {
        self.ranks = ranks
        self.dtype = dtype
    }

    /// An adapter without tensors, to find out whether it can be written before anything is computed.
    public static func outline(from base: Checkpoint, to tuned: Checkpoint) throws(CheckpointError) -> Checkpoint {
        try AdapterFolder(sources: base.sources + tuned.sources).checkpoint(path: tuned.path, modules: ModuleTree([]))
    }

    /// Computes the adapter, one weight after the other; the matrices are kept in a file without a name.
    ///
    /// - Parameters:
    ///   - base: the model before the training.
    ///   - tuned: the model after it.
    ///   - baseName: what the adapter calls its base.
    ///   - threads: how many threads compute; the result does not depend on it.
    ///   - progress: called with the bytes of weights that are done, and of all that differ.
    /// - Throws: when the models do not fit together, or nothing differs that an adapter can hold.
    public func adapter(
        from base: Checkpoint, to tuned: Checkpoint, baseName: String, threads: Int,
        progress: (@Sendable (_ done: Int, _ total: Int) -> Void)? = nil
    ) throws(CheckpointError) -> Result {
        let pair = try ComparedModels(base, tuned)
        let plan = try ExtractionPlan(pair, threads: threads)
        var store = try FactorStore()
        var modules: [Module] = []
        let total = plan.changes.reduce(0) { $0 + $1.difference.tuned.tensor.byteCount }
        var done = 0
        for change in plan.changes {
            if let factors = try LowRankFactors(change.difference, ranks: ranks, threads: threads) {
                try store.append(factors, of: change)
                modules.append(
                    Module(
                        name: change.module, rank: factors.rank, squares: factors.squares,
                        heldSquares: factors.heldSquares))
            }
            done += change.difference.tuned.tensor.byteCount
            progress?(done, total)
        }
        guard !modules.isEmpty else { throw plan.nothingToHold }
        let (pairs, file) = try store.pairs(as: dtype)
        var folder = AdapterFolder(pairs: pairs, wholes: plan.wholes, biases: plan.biases)
        folder.fanInFanOut = plan.fanInFanOut
        folder.baseName = baseName
        folder.sources = base.sources + tuned.sources + [file]
        var result = try folder.checkpoint(path: tuned.path, modules: plan.tree)
        for note in plan.notes + pair.notes { result.note(note) }
        for source in base.sources + tuned.sources { try source.checkUnchanged() }
        return Result(adapter: result, modules: modules, wholeModules: plan.wholes.map(\.module))
    }
}

/// The low-rank matrices in f32, in a file until they are written.
private struct FactorStore: ~Copyable {
    private var file: UnnamedFile
    private var stored: [(change: ExtractionPlan.Change, rank: Int)] = []
    private var ranges: [Range<Int>] = []

    init() throws(CheckpointError) { file = try UnnamedFile(name: "the adapter") }

    /// Keeps the matrices of a change: A, then B.
    mutating func append(_ factors: LowRankFactors, of change: ExtractionPlan.Change) throws(CheckpointError) {
        let (inputs, outputs) = change.isTransposed ? (factors.b, factors.a) : (factors.a, factors.b)
        let a = Scratch(floats: inputs.rows * factors.rank), b = Scratch(floats: outputs.rows * factors.rank)
        for rank in 0..<factors.rank {
            for row in 0..<inputs.rows { a.floats[rank * inputs.rows + row] = Float(inputs[row, rank]) }
            for row in 0..<outputs.rows { b.floats[row * factors.rank + rank] = Float(outputs[row, rank]) }
        }
        for scratch in [a, b] {
            let start = file.byteCount
            try file.append(UnsafeRawBufferPointer(start: scratch.base, count: scratch.byteCount))
            ranges.append(start..<file.byteCount)
        }
        stored.append((change, factors.rank))
    }

    /// The pairs of all changes, and the file that they lie in.
    consuming func pairs(
        as dtype: DType
    ) throws(CheckpointError) -> (pairs: [AdapterFolder.Pair], file: MappedFile) {
        let stored = stored
        let (file, recipes) = try file.mapped(ranges)
        var pairs: [AdapterFolder.Pair] = []
        for (index, (change, rank)) in stored.enumerated() {
            func tensor(_ part: Int, _ shape: [Int]) throws(CheckpointError) -> Tensor {
                try Tensor(name: change.module, dtype: .f32, shape: shape, recipe: recipes[2 * index + part])
                    .recoded(as: dtype, file: change.difference.tuned.file, refusesNonfinite: true)
            }
            let shape = change.difference.base.tensor.shape
            let (outputs, inputs) = change.isTransposed ? (shape[1], shape[0]) : (shape[0], shape[1])
            pairs.append(
                .init(module: change.module, a: try tensor(0, [rank, inputs]), b: try tensor(1, [outputs, rank])))
        }
        return (pairs, file)
    }
}
