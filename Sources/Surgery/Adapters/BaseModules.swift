internal import Checkpoints
internal import Formats

/// The tensors of a base by the names that adapters have for them.
struct BaseModules {
    let file: String
    /// Its tensors.
    let tensors: [Tensor]
    private let indices: [ExactString: Int]
    /// What stands at the start of an adapter's names and not of the base's, and what the base has in its place.
    private var dropped = ""
    private var added = ""
    /// How the block that holds the experts is named in runtimes and in files of some families, where the base has one of the two.
    private let block: (runtime: String, file: String)?
    /// Whether the base has the name of runtimes.
    private let hasRuntimeBlock: Bool
    /// Whether PEFT takes stacks of experts the other way round than they are stored.
    private let areExpertsReversed: Bool
    /// Whether weights of layers are stored [inputs, outputs], as in Conv1D: biases tell it.
    let areInputsFirst: Bool

    init(_ checkpoint: Checkpoint) {
        file = checkpoint.path
        tensors = checkpoint.tensors
        indices = Dictionary(
            tensors.enumerated().map { (ExactString($1.name), $0) }, uniquingKeysWith: { first, _ in first })
        let names = checkpoint.tensors.map(\.name)
        func isPart(_ block: String) -> Bool {
            let part = "." + block + "."
            return names.contains { $0.containsBytes(of: part) }
        }
        let found = ExpertNames.known.blocks.first { isPart($0.file) != isPart($0.runtime) }
        block = found
        hasRuntimeBlock = found.map { isPart($0.runtime) } ?? false
        let types = [checkpoint.config?["model_type"], checkpoint.config?["text_config"]?["model_type"]]
        areExpertsReversed = types.contains { $0?.string.map(ExpertNames.known.reversedModels.contains) ?? false }
        areInputsFirst = BaseModules.areInputsFirst(checkpoint.tensors, indices)
    }

    private static func areInputsFirst(_ tensors: [Tensor], _ indices: [ExactString: Int]) -> Bool {
        for tensor in tensors where tensor.shape.count == 1 && tensor.name.hasSuffix(".bias") {
            let name = String(tensor.name.dropLast(".bias".count)) + ".weight"
            guard let index = indices[ExactString(name)], tensors[index].shape.count == 2 else { continue }
            let shape = tensors[index].shape
            if shape[0] != shape[1] { return shape[1] == tensor.count && shape[0] != tensor.count }
        }
        return false
    }

    /// The name in the base of what an adapter calls so.
    func name(of text: String) -> String {
        var name = text
        if !dropped.isEmpty || !added.isEmpty {
            name = added + text.dropFirst(text.hasPrefix(dropped) ? dropped.count : 0)
        }
        guard let block else { return name }
        if hasRuntimeBlock { return name.replacingComponent(block.file, with: block.runtime) }
        return name.replacingComponent(block.runtime, with: block.file)
    }

    /// The name that an adapter has for a module of the base.
    func adapterName(of name: String) -> String {
        var text = added.isEmpty || !name.hasPrefix(added) ? name : String(name.dropFirst(added.count))
        text = dropped + text
        guard let block, !hasRuntimeBlock else { return text }
        return text.replacingComponent(block.file, with: block.runtime)
    }

    /// Where a tensor is in the base, by the name that the base has.
    func index(of name: String) -> Int? { indices[ExactString(name)] }

    /// The names of all tensors whose names begin so.
    func names(under prefix: String) -> [String] { tensors.map(\.name).filter { $0.hasPrefix(prefix) } }

    /// Finds out how the names of an adapter and those of the base differ at their start: a model that was trained without
    /// its head, or as a part of another one, has its tensors under other names.
    ///
    /// - Parameter modules: the modules that the adapter names.
    mutating func align(with modules: [String]) {
        guard let first = modules.first, !modules.contains(where: { has($0) }) else { return }
        let parts = first.split(separator: ".", omittingEmptySubsequences: false)
        // The number of the layer and the name before it are never what differs.
        let number = parts.firstIndex { Int($0) != nil } ?? parts.count
        for count in 0..<max(0, min(4, number)) {
            let rest = parts.dropFirst(count).joined(separator: ".") + ".weight"
            let matching = tensors.lazy.map(\.name).filter { $0 == rest || $0.hasSuffix("." + rest) }
            let found = Set(matching.map { String($0.dropLast(rest.utf8.count)) })
            guard found.count == 1, let prefix = found.first else { continue }
            var other = self
            other.dropped = parts.prefix(count).map { $0 + "." }.joined()
            other.added = prefix
            if modules.allSatisfy({ other.has($0) }) {
                self = other
                return
            }
        }
    }

    /// What stands before the number of a module's layer; `nil` outside layers.
    static func stack(of module: String) -> String? {
        let parts = module.split(separator: ".")
        return parts.firstIndex { Int($0) != nil }.map { parts[..<$0].joined(separator: ".") }
    }

    /// The same names for a base with more tensors.
    func updated(_ checkpoint: Checkpoint) -> BaseModules {
        var result = BaseModules(checkpoint)
        (result.dropped, result.added) = (dropped, added)
        return result
    }

    /// The names of all modules with a matrix, as an adapter has them.
    var matrixModules: [String] {
        tensors.compactMap { tensor in
            guard tensor.shape.count == 2, tensor.name.hasSuffix(".weight") else { return nil }
            return adapterName(of: String(tensor.name.dropLast(".weight".count)))
        }
    }

    /// Whether stacks of experts are stored [inputs, outputs]: the two stacks of a layer tell it by their shapes.
    var areExpertsInputsFirst: Bool {
        for tensor in tensors where tensor.shape.count == 3 && tensor.name.hasSuffix(".gate_up_proj") {
            let other = String(tensor.name.dropLast("gate_up_proj".count)) + "down_proj"
            guard let index = index(of: other), tensors[index].shape.count == 3 else { continue }
            let (up, down) = (tensor.shape, tensors[index].shape)
            return up[1] == down[2] && up[2] == 2 * down[1] && !(up[2] == down[1] && up[1] == 2 * down[2])
        }
        return false
    }

    /// The tensor [experts, outputs, inputs] in which mlx-lm stacks one matrix of all experts; `nil` where there is none.
    ///
    /// - Parameters:
    ///   - experts: the module of the experts, as the base would name it.
    ///   - part: `gate_proj`, `up_proj` or `down_proj`.
    func stack(of experts: String, part: String) -> Tensor? {
        let block = ModuleTree.module(of: experts) + "." + ExpertNames.known.stackedModule
        guard let index = index(of: "\(block).\(part).weight"), tensors[index].shape.count == 3 else { return nil }
        return tensors[index]
    }

    /// Whether they are for PEFT, which gives A the inputs.
    var areExpertsInputsFirstForPEFT: Bool { areExpertsInputsFirst && !areExpertsReversed }

    private func has(_ module: String) -> Bool {
        let name = name(of: module)
        return index(of: name + ".weight") != nil || index(of: name) != nil
    }
}

extension String {
    /// The name with the first of its inner components that is equal to another one replaced.
    fileprivate func replacingComponent(_ component: String, with other: String) -> String {
        guard containsBytes(of: "." + component + ".") else { return self }
        var parts = split(separator: ".", omittingEmptySubsequences: false)
        guard let index = parts.dropLast().dropFirst().firstIndex(where: { $0 == component }) else { return self }
        parts[index] = other[...]
        return parts.joined(separator: ".")
    }
}
