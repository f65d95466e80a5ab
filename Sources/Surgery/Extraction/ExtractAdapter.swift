public import Checkpoints
public import Formats
internal import Kernels
internal import Parallel

/// Extracts a LoRA adapter from a model before and after a training: the best low-rank approximation of what the
/// training changed.
///
/// The weights of Linears in the layers of the language model that differ get a low-rank change. So do the experts of a
/// layer, in PEFT's form for one parameter of all experts (`target_parameters`). Other modules that differ, such as
/// norms and embeddings, are stored whole.
public struct ExtractAdapter: Sendable {
    /// The ranks.
    public let ranks: RankChoice
    /// The type of the low-rank matrices.
    public let dtype: DType

    /// A weight with a low-rank change.
    public struct Module: Sendable {
        /// The name of the module in the base; for experts, the name of their parameter in runtimes.
        public let name: String
        /// The rank of the change; for experts, the highest one.
        public let rank: Int
        /// The squared Frobenius norm of the difference.
        public let squares: Double
        /// The squared Frobenius norm of the change.
        public let heldSquares: Double

        /// The share of the squared norm that the change holds.
        public var held: Double { min(1, heldSquares / squares) }

        /// A weight, or the weights of all experts in a parameter.
        init(_ name: String, _ rank: Int, _ measures: [LowRankFactors.Measures]) {
            self.name = name
            self.rank = rank
            squares = measures.reduce(0) { $0 + $1.squares }
            heldSquares = measures.reduce(0) { $0 + $1.heldSquares }
        }
    }

    /// An adapter, with a report about it.
    public struct Result: Sendable {
        /// The adapter, as a folder that PEFT loads.
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

    /// An extraction.
    ///
    /// - Parameters:
    ///   - ranks: the rank of each matrix, or how it is chosen.
    ///   - dtype: the type of the low-rank matrices: F32, F16 or BF16.
    public init(ranks: RankChoice, dtype: DType = .f32) {
        self.ranks = ranks
        self.dtype = dtype
    }

    /// An adapter without tensors, to find out before the computation whether it can be written.
    public static func outline(from base: Checkpoint, to tuned: Checkpoint) throws(CheckpointError) -> Checkpoint {
        try AdapterFolder(sources: base.sources + tuned.sources).checkpoint(path: tuned.path, modules: ModuleTree([]))
    }

    /// Computes the adapter, one weight after the other; the matrices are kept in an unnamed file.
    ///
    /// - Parameters:
    ///   - base: the model before the training.
    ///   - tuned: the model after it.
    ///   - baseName: the name of the base in the adapter's settings.
    ///   - threads: how many threads compute; the result does not depend on it.
    ///   - progress: called with the bytes of the weights that are done, and of all weights that differ.
    /// - Throws: when the two are not the same model, or when no weight differs that can get a low-rank change.
    public func adapter(
        from base: Checkpoint, to tuned: Checkpoint, baseName: String, threads: Int,
        progress: (@Sendable (_ done: Int, _ total: Int) -> Void)? = nil
    ) throws(CheckpointError) -> Result {
        let pair = try ComparedModels(base, tuned)
        let plan = try ExtractionPlan(pair, threads: threads)
        var store = try FactorStore()
        var modules: [Module] = []
        let differences = plan.changes.map(\.difference) + plan.stacks.flatMap { $0.differences.compactMap(\.self) }
        let total = differences.reduce(0) { $0 + $1.tuned.tensor.byteCount }
        var done = 0, found: [LowRankFactors.Measures?] = []
        for difference in differences {
            let factors = try LowRankFactors(difference, ranks: ranks, threads: threads)
            if let factors { try store.append(factors) }
            found.append(factors?.measures)
            done += difference.tuned.tensor.byteCount
            progress?(done, total)
        }
        var (pairs, file) = try store.pairs(as: dtype, name: tuned.path)
        var folder = AdapterFolder()
        (folder.wholes, folder.biases) = (plan.namedWholes, plan.namedBiases)
        for (change, measures) in zip(plan.changes, found) {
            guard let measures, let pair = pairs.popFirst() else { continue }
            folder.pairs.append(change.pair(pair.left, pair.right, plan.modules.adapterName(of: change.module)))
            modules.append(Module(change.module, measures.rank, [measures]))
        }
        var rest = found.dropFirst(plan.changes.count)
        for stack in plan.stacks {
            var own: [LowRankFactors.Measures] = [], blocks: [[ExpertMatrices.Block]] = []
            for difference in stack.differences {
                let measures = difference == nil ? nil : rest.popFirst() ?? nil
                guard let measures, let pair = pairs.popFirst() else {
                    blocks.append([])
                    continue
                }
                own.append(measures)
                blocks.append([stack.block(pair.left, pair.right)])
            }
            guard !own.isEmpty else { continue }
            let sizes = stack.parameter.sizes
            let matrices = ExpertMatrices(blocks, outputs: sizes.outputs, inputs: sizes.inputs, file: tuned.path)
            let change = AdapterFolder.Stack(module: stack.module, parameter: stack.parameter.name, matrices: matrices)
            folder.stacks.append(change)
            modules.append(Module(change.name, matrices.rank, own))
        }
        guard !modules.isEmpty else { throw plan.nothingToHold }
        folder.expertParameters = plan.expertParameters
        folder.fanInFanOut = plan.fanInFanOut
        folder.baseName = baseName
        folder.sources = base.sources + tuned.sources + [file]
        var result = try folder.checkpoint(path: tuned.path, modules: plan.runtimeTree)
        for note in plan.notes + pair.notes { result.note(note) }
        for source in base.sources + tuned.sources { try source.checkUnchanged() }
        return Result(adapter: result, modules: modules, wholeModules: plan.wholes.map(\.module))
    }
}
