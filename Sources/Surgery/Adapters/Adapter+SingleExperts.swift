internal import Checkpoints
internal import Formats

extension Adapter {
    /// The adapter with the changes of single experts joined into stacks, if the base stores all experts of a layer in
    /// one tensor. Adapters made with transformers 4 have a module for each expert; transformers 5 has one for all.
    ///
    /// - Throws: for a change that is not a plain product (DoRA, a bias), and for experts that the base does not have.
    func withExpertsTogether(_ base: Checkpoint) throws(CheckpointError) -> Adapter {
        let names: [String] = pairs.map(\.module)
        guard names.contains(where: { SingleExpert.number(in: $0) != nil }) else { return self }
        var modules = BaseModules(base)
        modules.align(with: names.filter { SingleExpert.number(in: $0) == nil })
        var others: [Pair] = []
        var stacks = ExpertStacks(path: path)
        for pair in pairs {
            guard let expert = SingleExpert(modules.name(of: pair.module)),
                let member = try stackMember(of: expert, pair, modules)
            else {
                others.append(pair)
                continue
            }
            try stacks.add(pair, member)
        }
        guard others.count < pairs.count else { return self }
        others += try stacks.pairs()
        return Adapter(
            path: path, naming: naming, config: config, pairs: others, wholes: wholes, tokens: tokens, sources: sources)
    }

    /// The position of an expert's matrix in a tensor of all experts; `nil` when the base has no such tensor.
    private func stackMember(
        of expert: SingleExpert, _ pair: Pair, _ modules: BaseModules
    ) throws(CheckpointError) -> TensorTranslation.StackMember? {
        guard modules.index(of: expert.module + ".weight") == nil else { return nil }
        for parameter in ExpertNames.known.parameters {
            for parts in parameter.parts {
                guard let part = parts.firstIndex(of: expert.kind) else { continue }
                let name = expert.experts + "." + parameter.parameter
                if let index = modules.index(of: name), modules.tensors[index].shape.count == 3 {
                    if parts.count > 1 { try modules.requireOrder(ofPartsIn: name, for: pair.a, path: path) }
                    return try member(
                        of: modules.tensors[index], expert, pair, modules, part: part, parts: parts.count)
                }
                if let stack = modules.stack(of: expert.experts, part: parameter.parts[0][part]) {
                    return try member(of: stack, expert, pair, modules, part: 0, parts: 1)
                }
            }
        }
        return nil
    }

    private func member(
        of stack: Tensor, _ expert: SingleExpert, _ pair: Pair, _ modules: BaseModules, part: Int, parts: Int
    ) throws(CheckpointError) -> TensorTranslation.StackMember {
        guard expert.number < stack.shape[0] else {
            throw CheckpointError(
                file: path, tensor: pair.a.name,
                "is for expert \(expert.number), and \(stack.name) of \(modules.file) holds \(stack.shape[0])",
                hint: "the adapter is for another model")
        }
        return TensorTranslation.StackMember(
            stack: modules.adapterName(of: stack.name), expert: expert.number, experts: stack.shape[0], part: part,
            parts: parts)
    }
}

/// A module of a single expert, by its name: `….experts.3.gate_proj`.
private struct SingleExpert {
    /// The whole name.
    let module: String
    /// The module of all experts.
    let experts: String
    let number: Int
    /// The last part of the name.
    let kind: String

    init?(_ module: String) {
        guard let number = SingleExpert.number(in: module) else { return nil }
        let parts = module.split(separator: ".").map(String.init)
        experts = parts.dropLast(2).joined(separator: ".")
        (self.module, self.number, kind) = (module, number, parts[parts.count - 1])
    }

    /// The number of the expert; `nil` in the name of another module.
    static func number(in module: String) -> Int? {
        let parts: [String] = module.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        guard parts.count > 3, parts[parts.count - 3] == ExpertNames.known.module else { return nil }
        let text: String = parts[parts.count - 2]
        guard let number = Int(text), number >= 0, String(number) == text else { return nil }
        return number
    }
}

extension BaseModules {
    /// Refuses a stack in which rows of gate and up alternate. GPT-OSS has such stacks, and it is the only family with
    /// biases for them, by which it is recognized.
    func requireOrder(ofPartsIn stack: String, for tensor: Tensor, path: String) throws(CheckpointError) {
        guard index(of: stack + "_bias") != nil else { return }
        throw CheckpointError(
            file: path, tensor: tensor.name,
            "is for experts whose gate and up rows alternate in \(stack), which resect cannot merge yet")
    }
}
