internal import Checkpoints
internal import Formats

/// The tensors of a base, and the translation between their names and the names in an adapter.
struct BaseModules {
    let file: String
    /// Its tensors.
    let tensors: [Tensor]
    private let indices: [ExactString: Int]
    /// The beginning of an adapter's names that the base's names do not have, and what the base has instead.
    private var dropped = ""
    private var added = ""
    /// The two names of the block of experts, in runtimes and in files of some families; `nil` unless the base has
    /// exactly one of them.
    private let block: (runtime: String, file: String)?
    /// Whether the base has the name that runtimes use.
    private let hasRuntimeBlock: Bool
    /// Whether PEFT exchanges inputs and outputs of stacks of experts, compared with the files.
    private let areExpertsReversed: Bool
    /// Whether weights of layers are stored [inputs, outputs], as in Conv1D. The lengths of biases show it.
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

    /// The name in the base for a name in an adapter.
    func name(of text: String) -> String {
        var name = text
        if !dropped.isEmpty || !added.isEmpty {
            name = added + text.dropFirst(text.hasPrefix(dropped) ? dropped.count : 0)
        }
        guard let block else { return name }
        if hasRuntimeBlock { return name.replacingComponent(block.file, with: block.runtime) }
        return name.replacingComponent(block.runtime, with: block.file)
    }

    /// The name in an adapter for a module of the base.
    func adapterName(of name: String) -> String {
        var text = added.isEmpty || !name.hasPrefix(added) ? name : String(name.dropFirst(added.count))
        text = dropped + text
        guard let block, !hasRuntimeBlock else { return text }
        return text.replacingComponent(block.file, with: block.runtime)
    }

    /// The index of a tensor of the base, by its name there.
    func index(of name: String) -> Int? { indices[ExactString(name)] }

    /// The names of all tensors that begin with a prefix.
    func names(under prefix: String) -> [String] { tensors.map(\.name).filter { $0.hasPrefix(prefix) } }

    /// Finds out how the beginnings of names differ between an adapter and the base: a model that was trained without
    /// its head, or as a part of another model, has other prefixes.
    ///
    /// - Parameter modules: the modules that the adapter names.
    mutating func align(with modules: [String]) {
        guard let first = modules.first, !modules.contains(where: { has($0) }) else { return }
        let parts = first.split(separator: ".", omittingEmptySubsequences: false)
        // The names differ at most before the layer number and the component in front of it.
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

    /// The prefix of a module's name before its layer number; `nil` outside layers.
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

    /// All modules with a matrix, by their names in an adapter.
    var matrixModules: [String] {
        tensors.compactMap { tensor in
            guard tensor.shape.count == 2, tensor.name.hasSuffix(".weight") else { return nil }
            return adapterName(of: String(tensor.name.dropLast(".weight".count)))
        }
    }

    /// Whether stacks of experts are stored [experts, inputs, outputs]. The shapes of the two stacks of a layer show
    /// it.
    var areExpertsInputsFirst: Bool {
        for tensor in tensors where tensor.shape.count == 3 && tensor.name.hasSuffix(".gate_up_proj") {
            let other = String(tensor.name.dropLast("gate_up_proj".count)) + "down_proj"
            guard let index = index(of: other), tensors[index].shape.count == 3 else { continue }
            let (up, down) = (tensor.shape, tensors[index].shape)
            return up[1] == down[2] && up[2] == 2 * down[1] && !(up[2] == down[1] && up[1] == 2 * down[2])
        }
        return false
    }

    /// The tensor [experts, outputs, inputs] in which mlx-lm stacks one matrix of all experts; `nil` when there is
    /// none.
    ///
    /// - Parameters:
    ///   - experts: the module of the experts, as the base would name it.
    ///   - part: `gate_proj`, `up_proj` or `down_proj`.
    func stack(of experts: String, part: String) -> Tensor? {
        let block = ModuleTree.module(of: experts) + "." + ExpertNames.known.stackedModule
        guard let index = index(of: "\(block).\(part).weight"), tensors[index].shape.count == 3 else { return nil }
        return tensors[index]
    }

    /// Whether PEFT takes stacks of experts as [experts, inputs, outputs]; A is the matrix over the inputs.
    var areExpertsInputsFirstForPEFT: Bool { areExpertsInputsFirst && !areExpertsReversed }

    private func has(_ module: String) -> Bool {
        let name = name(of: module)
        return index(of: name + ".weight") != nil || index(of: name) != nil
    }
}

extension String {
    /// The name with one component replaced: the first inner one that equals `component`.
    fileprivate func replacingComponent(_ component: String, with other: String) -> String {
        guard containsBytes(of: "." + component + ".") else { return self }
        var parts = split(separator: ".", omittingEmptySubsequences: false)
        guard let index = parts.dropLast().dropFirst().firstIndex(where: { $0 == component }) else { return self }
        parts[index] = other[...]
        return parts.joined(separator: ".")
    }
}
