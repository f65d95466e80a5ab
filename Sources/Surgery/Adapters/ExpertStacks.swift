internal import Checkpoints
internal import Formats

/// Collects changes of single experts, and joins them into changes of the stacks in which the result stores the
/// experts.
struct ExpertStacks {
    private struct Stack {
        let name: String
        /// By expert and part.
        var pairs: [[Adapter.Pair?]]

        /// The first change that there is.
        var first: Adapter.Pair? { pairs.joined().lazy.compactMap(\.self).first }
    }

    private let path: String
    private var stacks: [Stack] = []
    private var indices: [ExactString: Int] = [:]

    init(path: String) { self.path = path }

    /// Adds the change of one expert, or the changes of all experts for one part of the outputs.
    ///
    /// - Throws: for a change that is not a plain product.
    mutating func add(_ pair: Adapter.Pair, _ member: TensorTranslation.StackMember) throws(CheckpointError) {
        if let tensor = pair.magnitude ?? pair.bias {
            throw CheckpointError(
                file: path, tensor: tensor.name, "is for an expert, of which a stack can hold only a plain product",
                hint: "merge it into a folder that has a tensor for each expert, and convert the result")
        }
        if let expert = member.expert { return try add(pair, member, expert) }
        let names = Array(repeating: pair.module, count: member.experts)
        for (expert, own) in try pair.matrices(names, path: path).enumerated() { try add(own, member, expert) }
    }

    private mutating func add(
        _ pair: Adapter.Pair, _ member: TensorTranslation.StackMember, _ expert: Int
    ) throws(CheckpointError) {
        let name = ExactString(member.stack), index = indices[name] ?? stacks.count
        if index == stacks.count {
            indices[name] = index
            let parts = [Adapter.Pair?](repeating: nil, count: member.parts)
            stacks.append(Stack(name: member.stack, pairs: Array(repeating: parts, count: member.experts)))
        }
        if let first = stacks[index].first,
            first.b.shape[0] != pair.b.shape[0] || first.a.shape[1] != pair.a.shape[1]
        {
            throw CheckpointError(
                file: path, tensor: pair.b.name,
                "is for a weight of \([pair.b.shape[0], pair.a.shape[1]]), and \(first.module) of the same stack has "
                    + "\([first.b.shape[0], first.a.shape[1]])")
        }
        if let other = stacks[index].pairs[expert][member.part] {
            throw CheckpointError(
                file: path, tensor: pair.a.name, "changes the same matrix of \(member.stack) as \(other.module)")
        }
        stacks[index].pairs[expert][member.part] = pair
    }

    /// The changes of all stacks.
    func pairs() throws(CheckpointError) -> [Adapter.Pair] {
        var result: [Adapter.Pair] = []
        for stack in stacks {
            guard let first = stack.first else { continue }
            let outputs = stack.pairs[0].map { _ in first.b.shape[0] }
            let matrices = try ExpertMatrices(
                stack.pairs, like: first, outputs: outputs, inputs: first.a.shape[1], file: path)
            let name = stack.name
            result.append(
                first.with(
                    module: name.hasSuffix(".weight") ? ModuleTree.module(of: name) : name,
                    a: try matrices.a(first.a.name), b: try matrices.b(first.b.name)))
        }
        return result
    }
}

extension ExpertMatrices {
    /// Joins the changes of the parts of each expert into one stack. If all parts of every expert have the same A, they
    /// share its ranks; otherwise each part has ranks of its own.
    ///
    /// - Parameters:
    ///   - pairs: by expert and part.
    ///   - first: the change from which the stack takes its scale.
    ///   - outputs: the number of outputs of each part.
    init(
        _ pairs: [[Adapter.Pair?]], like first: Adapter.Pair, outputs: [Int], inputs: Int, file: String
    ) throws(CheckpointError) {
        let areShared = try ExpertMatrices.shareInputs(pairs)
        // The first rank and the first output of each part.
        var starts: [(rank: Int, output: Int)] = [], rank = 0, output = 0
        for (part, count) in outputs.enumerated() {
            starts.append((areShared ? 0 : rank, output))
            rank += pairs.reduce(0) { max($0, $1[part]?.a.shape[0] ?? 0) }  // fits: ranks are below 2^20
            output += count  // fits: outputs of the stack
        }
        let blocks = pairs.map { own in
            own.enumerated().compactMap { part, pair in
                pair.map {
                    Block(
                        a: $0.a, b: $0.b, firstRank: starts[part].rank, firstOutput: starts[part].output,
                        factor: $0.factor(like: first))
                }
            }
        }
        self.init(blocks, outputs: output, inputs: inputs, file: file)
    }

    /// Whether all parts of every expert have the same A.
    private static func shareInputs(_ pairs: [[Adapter.Pair?]]) throws(CheckpointError) -> Bool {
        for parts in pairs {
            let own = parts.compactMap { $0 }
            guard let first = own.first else { continue }
            guard own.count == parts.count else { return false }
            for part in own.dropFirst() {
                guard part.a.shape == first.a.shape, part.a.dtype == first.a.dtype, try first.a.holds(part.a) else {
                    return false
                }
            }
        }
        return true
    }
}

extension Adapter.Pair {
    /// The factor for B that makes the scale of another pair right for this one.
    func factor(like other: Adapter.Pair) -> Float {
        scale == other.scale ? 1 : Float(Double(scale) / Double(other.scale))
    }

    /// The changes of the single matrices of a stack, one for each module.
    func matrices(_ modules: [String], path: String) throws(CheckpointError) -> [Adapter.Pair] {
        guard a.shape.count == 3, a.shape[0] == modules.count else {
            throw CheckpointError(
                file: path, tensor: a.name,
                "has the shape \(a.shape), and the base has \(modules.count) experts there",
                hint: "the adapter is for another model")
        }
        let (rank, inputs, outputs) = (a.shape[1], a.shape[2], b.shape[1])
        return modules.enumerated().map { expert, module in
            // fits: both are rows of the stacks
            with(
                module: module, a: a.rows(expert * rank, shape: [rank, inputs]),
                b: b.rows(expert * outputs, shape: [outputs, rank]))
        }
    }
}
