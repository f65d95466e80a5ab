internal import Checkpoints
internal import Formats

extension ExpertLayout {
    /// The names of all parameters in runtimes.
    func names(_ modules: BaseModules) -> [String] {
        parameters.map { modules.adapterName(of: $0.module) + "." + $0.name }
    }

    /// Separates the changes of experts from others, and joins them into stacks for a folder.
    ///
    /// - Parameter pairs: changes of the stored tensors of a base.
    /// - Returns: the stacks, and the changes that belong to no expert.
    func stacks(
        of pairs: [Adapter.Pair], _ modules: BaseModules, path: String
    ) throws(CheckpointError) -> (stacks: [AdapterFolder.Stack], others: [Adapter.Pair]) {
        var others: [Adapter.Pair] = []
        // By parameter, expert and part.
        var found = [[[Adapter.Pair?]]?](repeating: nil, count: parameters.count)
        func add(_ pair: Adapter.Pair, _ parameter: Int, _ expert: Int, _ part: Int) {
            if found[parameter] == nil {
                let parts = [Adapter.Pair?](repeating: nil, count: parameters[parameter].tensors[0].count)
                found[parameter] = Array(repeating: parts, count: parameters[parameter].experts)
            }
            found[parameter]?[expert][part] = pair
        }
        for pair in pairs {
            if let place = place(of: pair.module), pair.a.shape.count == 3 {
                let modules = Array(repeating: pair.module, count: parameters[place.parameter].experts)
                for (expert, own) in try pair.matrices(modules, path: path).enumerated() {
                    add(own, place.parameter, expert, 0)
                }
            } else if let place = place(of: pair.module + ".weight") {
                add(pair, place.parameter, place.expert, place.part)
            } else {
                others.append(pair)
            }
        }
        var stacks: [AdapterFolder.Stack] = []
        for (parameter, pairs) in zip(parameters, found) {
            guard let pairs, let first = pairs.joined().lazy.compactMap(\.self).first else { continue }
            let sizes = parameter.sizes
            let outputs = parameter.isStack ? [sizes.outputs] : parameter.tensors[0].map { $0.shape[0] }
            let matrices = try ExpertMatrices(
                pairs, like: first, outputs: outputs, inputs: sizes.inputs, file: path)
            stacks.append(
                .init(
                    module: modules.adapterName(of: parameter.module), parameter: parameter.name, matrices: matrices,
                    scale: first.scale))
        }
        return (stacks, others)
    }
}
