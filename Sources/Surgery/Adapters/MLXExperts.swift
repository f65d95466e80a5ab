internal import Checkpoints
internal import Formats

/// Translates adapters of experts from mlx-lm, which has one module for all experts of a layer, to the matrices or
/// stacks in the files of the base.
struct MLXExperts {
    /// How the base stores a module with all experts of a layer.
    private enum Stored {
        /// As one tensor, under the same name as in mlx-lm.
        case same
        /// As a module for each expert.
        case apart([String])
        /// As a part of a stack that holds the outputs of several modules.
        case part(stack: String, index: Int, count: Int)
    }

    private let adapter: Adapter
    private let modules: BaseModules
    private let base: Checkpoint
    /// The parts of stacks that were found so far, by the name of the stack.
    private var stacks: [(name: String, count: Int, parts: [Int: Adapter.Pair])] = []

    init(_ adapter: Adapter, _ modules: BaseModules, _ base: Checkpoint) {
        (self.adapter, self.modules, self.base) = (adapter, modules, base)
    }

    /// Whether the base has the experts of a module of mlx-lm.
    func exist(_ module: String) -> Bool { stored(module) != nil }

    /// The pairs for the base's modules. A part of a stack is kept until `stackedPairs` joins it with the others.
    mutating func pairs(of pair: Adapter.Pair) throws(CheckpointError) -> [Adapter.Pair] {
        let (count, outputs, rank) = (pair.b.shape[0], pair.b.shape[1], pair.b.shape[2])
        let inputs = pair.a.rowLength
        switch try found(pair.module, pair.a) {
        case .same:
            let a = Tensor(name: pair.a.name, dtype: pair.a.dtype, shape: [count, rank, inputs], recipe: pair.a.recipe)
            return [pair.with(module: modules.name(of: pair.module), a: a, b: pair.b)]
        case .apart(let names):
            try check(count, names.count, pair.b)
            return names.enumerated().map { expert, name in
                pair.with(
                    module: name, a: pair.a.rows(expert * rank, shape: [rank, inputs]),
                    b: pair.b.rows(expert * outputs, shape: [outputs, rank]))
            }
        case .part(let stack, let index, let parts):
            if !stacks.contains(where: { $0.name == stack }) { stacks.append((stack, parts, [:])) }
            for known in stacks.indices where stacks[known].name == stack { stacks[known].parts[index] = pair }
            return []
        }
    }

    /// The pairs for stacks, each with the outputs of its parts behind each other.
    func stackedPairs() throws(CheckpointError) -> [Adapter.Pair] {
        try stacks.map { (stack) throws(CheckpointError) in
            let parts = stack.parts.sorted { $0.key < $1.key }
            let first = parts[0].value, count = first.b.shape[0], outputs = first.b.shape[1]
            for (_, pair) in parts {
                guard pair.b.shape.prefix(2) == [count, outputs], pair.a.rowLength == first.a.rowLength else {
                    throw CheckpointError(
                        file: adapter.path, tensor: pair.b.name,
                        "has the shape \(pair.b.shape), and \(first.b.name) of the same stack has \(first.b.shape)")
                }
            }
            let ranks = parts.map { $0.value.b.shape[2] }, rank = ranks.reduce(0, +)
            let joined = try parts.enumerated().map { (index, part) throws(CheckpointError) in
                RowJoin.Part(
                    recipe: try part.value.a.recoded(as: .f32, file: adapter.path).recipe, run: ranks[index])
            }
            let a = Tensor(
                name: first.a.name, dtype: .f32, shape: [count, rank, first.a.rowLength],
                recipe: .joined(RowJoin(joined, turns: count)))
            let rows = StackedParts(parts: parts.map { ($0.key, $0.value.b) }, count: stack.count, outputs: outputs)
            let b = Tensor(
                name: first.b.name, dtype: .f32, shape: [count, stack.count * outputs, rank], recipe: .computed(rows))
            return first.with(module: stack.name, a: a, b: b)
        }
    }

    /// The replacements for tensors of the base, from one whole weight of all experts.
    func wholes(of whole: Adapter.Whole) throws(CheckpointError) -> [Adapter.Whole] {
        let shape = whole.values.shape
        guard whole.name.hasSuffix(".weight"), let stored = stored(whole.module) else {
            return [Adapter.Whole(name: modules.name(of: whole.name), isWrapped: false, values: whole.values)]
        }
        switch stored {
        case .same: return [Adapter.Whole(name: modules.name(of: whole.name), isWrapped: false, values: whole.values)]
        case .apart(let names):
            try check(shape[0], names.count, whole.values)
            return names.enumerated().map { expert, name in
                let values = whole.values.rows(expert * shape[1], shape: Array(shape.dropFirst()))
                return Adapter.Whole(name: name + ".weight", isWrapped: false, values: values)
            }
        case .part(let stack, _, _):
            throw CheckpointError(
                file: adapter.path, tensor: whole.name,
                "is a whole weight of experts, which \(base.path) stores in \(stack) in another order",
                hint: "mlx_lm.fuse writes such a model")
        }
    }

    private func check(_ count: Int, _ stored: Int, _ tensor: Tensor) throws(CheckpointError) {
        guard count == stored else {
            throw CheckpointError(
                file: adapter.path, tensor: tensor.name,
                "is for \(count) experts, and a layer of \(base.path) has \(stored)",
                hint: "the adapter is for another model")
        }
    }

    private func found(_ module: String, _ tensor: Tensor) throws(CheckpointError) -> Stored {
        guard let stored = stored(module) else {
            throw CheckpointError(
                file: adapter.path, tensor: tensor.name,
                "changes the experts of \(module), which \(base.path) does not have",
                hint: "the adapter is for another model")
        }
        if case .part(let stack, _, let count) = stored, count > 1 {
            try modules.requireOrder(ofPartsIn: stack, for: tensor, path: adapter.path)
        }
        return stored
    }

    /// How the base stores a module of mlx-lm: `mlp.switch_mlp.gate_proj` may be `mlp.experts.0.gate_proj` and so on,
    /// or the first half of `mlp.experts.gate_up_proj`.
    private func stored(_ module: String) -> Stored? {
        if modules.index(of: modules.name(of: module) + ".weight") != nil { return .same }
        var parts = module.split(separator: ".").map(String.init)
        guard parts.count > 2, let kind = parts.popLast(), let block = parts.popLast(),
            MLXNames.expertBlocks.contains(block)
        else { return nil }
        if parts.last != "experts" { parts.append("experts") }
        let prefix = modules.name(of: parts.joined(separator: "."))
        for parameter in ExpertNames.known.parameters {
            guard let names = parameter.parts.first, let index = names.firstIndex(of: kind) else { continue }
            for names in parameter.parts {
                var found: [String] = []
                while modules.index(of: "\(prefix).\(found.count).\(names[index]).weight") != nil {
                    found.append("\(prefix).\(found.count).\(names[index])")
                }
                if !found.isEmpty { return .apart(found) }
            }
            let stack = prefix + "." + parameter.parameter
            if modules.index(of: stack) != nil { return .part(stack: stack, index: index, count: names.count) }
        }
        return nil
    }
}

extension Tensor {
    /// A matrix that consists of some rows of this tensor.
    func rows(_ first: Int, shape: [Int]) -> Tensor {
        let map = RowMap(axes: [.init(count: shape[0], stride: 1)], first: first)
        return Tensor(name: name, dtype: dtype, shape: shape, recipe: recipe.taking(map, rowByteCount: rowByteCount))
    }
}
