internal import Checkpoints
internal import Formats

/// The adapter of a parameter that holds the weights of all experts of a layer: A [experts * rank, inputs], whose rows are
/// sorted by expert, and B [outputs, rank * experts], whose columns are sorted by rank.
///
/// Runtimes hold such stacks; files of many families hold a matrix for each expert, gate and up apart.
struct ExpertStack {
    /// A stored tensor, or one matrix of a stored stack, that holds a part of the parameter.
    private struct Target {
        let name: String
        /// Whether it holds a matrix of every expert.
        let isOfStack: Bool
        /// The expert, and the index of its matrix in a stored stack.
        let expert: Int
        let matrix: Int
        /// The index of its first output in the parameter.
        let firstOutput: Int
        /// How many outputs it has.
        let outputs: Int
        /// Whether it is stored [inputs, outputs].
        let isTurned: Bool
    }

    private let pair: Adapter.Pair
    private let adapter: Adapter
    private let parameter: String
    private let experts: Int
    private let targets: [Target]

    /// The stack that a pair changes; `nil` for a pair of a plain module.
    ///
    /// - Throws: when the base has no such stack.
    init?(_ pair: Adapter.Pair, _ adapter: Adapter, _ modules: BaseModules, _ base: Checkpoint) throws(CheckpointError)
    {
        guard adapter.isOfParameter(pair), !pair.isEmbedding else { return nil }
        let module = modules.name(of: pair.module)
        // In a module with a weight the parameter is this weight, so the pair is a plain one.
        if modules.index(of: module + ".weight") != nil, pair.depth == 0 { return nil }
        self.pair = pair
        self.adapter = adapter
        let announced = Set(
            adapter.config.targetParameters.filter { adapter.isOfParameter(pair, $0) }.compactMap {
                $0.split(separator: ".").last
            })
        for name in ExpertNames.known.parameters where announced.contains(Substring(name.parameter)) {
            guard let found = ExpertStack.targets(of: name, module, pair, adapter, modules, base) else { continue }
            (parameter, experts, targets) = (name.parameter, found.experts, found.targets)
            return
        }
        throw CheckpointError(
            file: adapter.path, tensor: pair.a.name,
            "is for the experts of \(pair.module), \(pair.a.shape) and \(pair.b.shape), which \(base.path) does not have in these sizes among \(announced.sorted().joined(separator: ", "))",
            hint: "the adapter is for another model")
    }

    /// The rank of an expert and the scale, checked against the configuration.
    private func measures() throws(CheckpointError) -> (rank: Int, scale: Float) {
        let ranks = pair.a.shape[0]
        guard ranks % experts == 0 else {
            throw CheckpointError(
                file: adapter.path, tensor: pair.a.name, "has \(ranks) rows for \(experts) experts")
        }
        let rank = ranks / experts, name = pair.module + "." + parameter
        let stated = adapter.config.rank(of: name)
        guard stated == rank else {
            throw CheckpointError(
                file: adapter.config.path,
                "says rank \(stated) for \(name), whose matrix \(pair.a.name) has \(rank) an expert")
        }
        return (rank, adapter.config.scale(of: name, rank: rank))
    }

    /// The changes of the stored tensors.
    func products(_ number: Int) throws(CheckpointError) -> [(String, WeightChanges.Product)] {
        let (rank, scale) = try measures(), name = pair.module + "." + parameter
        return targets.map { target in
            let matrices = matrices(of: target, rank: rank)
            let a = ThinMatrix.Term(tensor: matrices.a, ranksAreRows: true)
            let b = ThinMatrix.Term(tensor: matrices.b, ranksAreRows: false)
            let product = WeightChanges.Product(
                adapter: number, module: name, left: target.isTurned ? a : b, right: target.isTurned ? b : a,
                leftIsA: target.isTurned, rank: rank, scale: scale, matrix: target.matrix)
            return (target.name, product)
        }
    }

    /// A [rank, inputs] and B [outputs, rank] of a stored tensor, or of one of its matrices.
    private func matrices(of target: Target, rank: Int) -> (a: Tensor, b: Tensor) {
        let columns = ExpertColumns(
            joined: pair.b, expert: target.expert, experts: experts, firstRow: target.firstOutput)
        return (
            pair.a.rows(target.expert * rank, shape: [rank, pair.a.rowLength]),  // fits: rows of A
            Tensor(name: pair.b.name, dtype: .f32, shape: [target.outputs, rank], recipe: .computed(columns))
        )
    }

    /// A pair of matrices for every stored tensor: the matrix of an expert, or a stack.
    func pairs() throws(CheckpointError) -> [Adapter.Pair] {
        let (rank, scale) = try measures(), inputs = pair.a.rowLength
        let plain: DType = pair.b.dtype.name == "F64" ? .f32 : pair.b.dtype
        func block(_ target: Target) throws(CheckpointError) -> ExpertMatrices.Block {
            let matrices = matrices(of: target, rank: rank)
            return .init(a: matrices.a, b: try matrices.b.recoded(as: plain, file: adapter.path))
        }
        func changed(_ name: String, _ a: Tensor, _ b: Tensor) -> Adapter.Pair {
            Adapter.Pair(
                module: name.hasSuffix(".weight") ? String(name.dropLast(".weight".count)) : name, depth: 0,
                isEmbedding: false, a: a, b: b, scale: scale, magnitude: nil, bias: nil)
        }
        var result: [Adapter.Pair] = []
        for target in targets where target.expert == 0 || !target.isOfStack {
            guard target.isOfStack else {
                let block = try block(target)
                result.append(changed(target.name, block.a, block.b))
                continue
            }
            let blocks = try targets.filter { $0.name == target.name }.map { (target) throws(CheckpointError) in
                [try block(target)]
            }
            let stack = ExpertMatrices(blocks, outputs: target.outputs, inputs: inputs, file: adapter.path)
            result.append(changed(target.name, try stack.a(pair.a.name), try stack.b(pair.b.name)))
        }
        return result
    }

    /// The stored tensors of a parameter in the base; `nil` when there are none, or the pair does not have their size.
    private static func targets(
        of name: ExpertNames.Parameter, _ module: String, _ pair: Adapter.Pair, _ adapter: Adapter,
        _ modules: BaseModules, _ base: Checkpoint
    ) -> (experts: Int, targets: [Target])? {
        let outputs = pair.b.shape[0], inputs = pair.a.shape[1]
        if let index = modules.index(of: module + "." + name.parameter) {
            let shape = base.tensors[index].shape
            guard shape.count == 3, shape.dropFirst() == [outputs, inputs] || shape.dropFirst() == [inputs, outputs]
            else { return nil }
            let isTurned =
                shape[1] == shape[2] ? ExpertStack.isSquareTurned(pair, adapter, modules) : shape[1] != outputs
            return (
                shape[0],
                (0..<shape[0]).map {
                    Target(
                        name: base.tensors[index].name, isOfStack: true, expert: $0, matrix: $0, firstOutput: 0,
                        outputs: outputs, isTurned: isTurned)
                }
            )
        }
        if let stacked = stackedTargets(of: name, module, outputs: outputs, inputs: inputs, modules) { return stacked }
        for parts in name.parts {
            var targets: [Target] = [], expert = 0
            while let found = stored(parts, "\(module).\(expert).", inputs: inputs, modules, base) {
                guard found.last.map({ $0.end == outputs }) == true else { break }
                targets += found.map {
                    Target(
                        name: $0.name, isOfStack: false, expert: expert, matrix: 0, firstOutput: $0.start,
                        outputs: $0.end - $0.start, isTurned: false)
                }
                expert += 1
            }
            if expert > 0 { return (expert, targets) }
        }
        return nil
    }

    /// The same for a base in which mlx-lm has stacked each part of the parameter separately.
    private static func stackedTargets(
        of name: ExpertNames.Parameter, _ module: String, outputs: Int, inputs: Int, _ modules: BaseModules
    ) -> (experts: Int, targets: [Target])? {
        let stacks = name.parts[0].compactMap { modules.stack(of: module, part: $0) }
        guard stacks.count == name.parts[0].count, let experts = stacks.first?.shape[0] else { return nil }
        var targets: [Target] = [], end = 0
        for stack in stacks {
            guard stack.shape[0] == experts, stack.shape[2] == inputs else { return nil }
            targets += (0..<experts).map {
                Target(
                    name: stack.name, isOfStack: true, expert: $0, matrix: $0, firstOutput: end,
                    outputs: stack.shape[1], isTurned: false)
            }
            end += stack.shape[1]  // fits: rows of two tensors
        }
        return end == outputs ? (experts, targets) : nil
    }

    /// Whether square matrices are stored [inputs, outputs]. PEFT has one order for all parameters of a module, and its
    /// versions chose it differently, so another parameter with matrices that are not square decides.
    private static func isSquareTurned(_ pair: Adapter.Pair, _ adapter: Adapter, _ modules: BaseModules) -> Bool {
        let module = modules.name(of: pair.module)
        for other in adapter.pairs where other.module == pair.module && other.depth != pair.depth {
            let sizes = [other.b.shape[0], other.a.shape[1]]
            for parameter in ExpertNames.known.parameters {
                guard let index = modules.index(of: module + "." + parameter.parameter) else { continue }
                let shape = modules.tensors[index].shape.dropFirst()
                if shape.first == shape.last { continue }
                if shape.elementsEqual(sizes) { return false }
                if shape.elementsEqual(sizes.reversed()) { return true }
            }
        }
        return modules.areExpertsInputsFirstForPEFT
    }

    /// The stored parts of one expert with the range of their outputs; `nil` when a part is missing.
    private static func stored(
        _ parts: [String], _ prefix: String, inputs: Int, _ modules: BaseModules, _ base: Checkpoint
    ) -> [(name: String, start: Int, end: Int)]? {
        var found: [(name: String, start: Int, end: Int)] = []
        for part in parts {
            guard let index = modules.index(of: prefix + part + ".weight") else { return nil }
            let shape = base.tensors[index].shape, start = found.last?.end ?? 0
            guard shape.count == 2, shape[1] == inputs else { return nil }
            found.append((base.tensors[index].name, start, start + shape[0]))
        }
        return found
    }
}
