internal import Checkpoints
internal import Formats

/// How a base stores the parameters that hold the weights of all experts of a layer.
struct ExpertLayout {
    /// A parameter that runtimes have for all experts of a layer.
    struct Parameter {
        /// The module of the experts, as the files name it.
        let module: String
        /// Its name in the module.
        let name: String
        /// By expert, the stored tensors whose rows together are the parameter, in order; or one stack of all experts.
        let tensors: [[Tensor]]
        /// Whether one tensor holds all experts.
        let isStack: Bool
        /// Whether the matrices of the stack are [inputs, outputs] for PEFT.
        let isTurned: Bool

        /// How many experts it has.
        var experts: Int { isStack ? tensors[0][0].shape[0] : tensors.count }
        /// The number of outputs and inputs of an expert.
        var sizes: (outputs: Int, inputs: Int) {
            let shape = tensors[0][0].shape
            // fits: rows of tensors
            guard isStack else { return (tensors[0].reduce(0) { $0 + $1.shape[0] }, shape[1]) }
            return isTurned ? (shape[2], shape[1]) : (shape[1], shape[2])
        }
    }

    /// The parameters, in the order of their layers and of each module.
    let parameters: [Parameter]
    private var places: [ExactString: (parameter: Int, expert: Int, part: Int)] = [:]

    init(_ modules: BaseModules) {
        var found: [Parameter] = [], seen: Set<ExactString> = []
        for tensor in modules.tensors {
            guard let module = ExpertLayout.expertModule(of: tensor), seen.insert(ExactString(module)).inserted else {
                continue
            }
            var own: Set<ExactString> = []
            for parameter in ExpertNames.known.parameters {
                guard let stored = ExpertLayout.stored(parameter, module, modules) else { continue }
                // A tensor that is a part of an earlier parameter is not a parameter by itself.
                let names = stored.tensors[0].map { ExactString($0.name) }
                guard own.isDisjoint(with: names) else { continue }
                own.formUnion(names)
                found.append(stored)
            }
        }
        parameters = found
        for (index, parameter) in found.enumerated() {
            for (expert, parts) in parameter.tensors.enumerated() {
                for (part, tensor) in parts.enumerated() { places[ExactString(tensor.name)] = (index, expert, part) }
            }
        }
    }

    /// The position of a tensor in the parameters; `nil` when it belongs to none. For a stack the expert is 0.
    func place(of name: String) -> (parameter: Int, expert: Int, part: Int)? { places[ExactString(name)] }

    /// The module of experts that a tensor lies in.
    private static func expertModule(of tensor: Tensor) -> String? {
        let known = ExpertNames.known.module
        let parts = tensor.name.split(separator: ".", omittingEmptySubsequences: false)
        guard let index = parts.lastIndex(where: { $0 == known }), tensor.shape.count > 1 else { return nil }
        return parts[...index].joined(separator: ".")
    }

    private static func stored(
        _ parameter: ExpertNames.Parameter, _ module: String, _ modules: BaseModules
    ) -> Parameter? {
        let tensors = modules.tensors
        if let index = modules.index(of: module + "." + parameter.parameter) {
            guard tensors[index].shape.count == 3 else { return nil }
            return Parameter(
                module: module, name: parameter.parameter, tensors: [[tensors[index]]], isStack: true,
                isTurned: modules.areExpertsInputsFirstForPEFT)
        }
        for names in parameter.parts {
            var experts: [[Tensor]] = []
            while true {
                let indices = names.compactMap { modules.index(of: "\(module).\(experts.count).\($0).weight") }
                let own = indices.map { tensors[$0] }
                guard own.count == names.count, let shape = own.first?.shape, shape.count == 2,
                    own.allSatisfy({ $0.shape.count == 2 && $0.shape[1] == shape[1] })
                else { break }
                experts.append(own)
            }
            guard let first = experts.first else { continue }
            guard experts.allSatisfy({ zip($0, first).allSatisfy { $0.shape == $1.shape } }) else { return nil }
            return Parameter(
                module: module, name: parameter.parameter, tensors: experts, isStack: false, isTurned: false)
        }
        return nil
    }
}
