internal import Checkpoints
internal import Formats

extension TensorTranslation {
    /// A part of a stack of the result that a source tensor is.
    struct StackMember {
        /// The name of the stack.
        let stack: String
        /// The expert; `nil` for the matrices of all experts.
        let expert: Int?
        /// How many experts the stack has.
        let experts: Int
        /// Which of the parts of each expert's outputs, and how many there are.
        var part = 0
        var parts = 1
    }

    /// The weight of a module; stacks of experts in folders are named without `weight`.
    func weight(of module: String) -> String {
        let isName = settings.architecture.tensors.contains {
            part($0, inTarget: false)?.match(module) ?? .none != .none
        }
        return isName ? module : module + ".weight"
    }

    /// Where a matrix of an expert, or a part of the matrices of all experts, is in a stack of the result; `nil` for every
    /// other tensor.
    func stackMember(_ tensor: Tensor) throws(CheckpointError) -> StackMember? {
        let (roles, layer) = try roles(in: tensor)
        guard let role = roles.first, roles.count == 1, let own = part(role, inTarget: false),
            let target = part(role, inTarget: true), !target.isPerExpert, target.hasPlainRows
        else { return nil }
        let name = target.name(layer: layer)
        if let expert = own.names.lazy.compactMap({ $0.expert(in: tensor.name) }).first {
            guard target.taken == nil else { return nil }
            return StackMember(stack: name, expert: expert, experts: try settings.expertCount(role))
        }
        guard let taken = target.taken, taken.axis == 1, case .index(let index) = taken.part, own.hasPlainRows,
            own.taken == nil, case let sizes = try settings.grid(of: target).sizes, sizes.count == 3
        else { return nil }
        return StackMember(stack: name, expert: nil, experts: sizes[0], part: index, parts: sizes[1])
    }

    /// The tensors of the result that the matrices of a stack are; `nil` for every other tensor.
    func matrices(ofStack tensor: Tensor) throws(CheckpointError) -> [String]? {
        guard !toGGUF else { return nil }
        let (roles, layer) = try roles(in: tensor)
        guard let role = roles.first, roles.count == 1, let own = part(role, inTarget: false), own.hasPlainRows,
            own.taken == nil, let target = part(role, inTarget: true), target.isPerExpert
        else { return nil }
        return (0..<(try settings.expertCount(role))).map { target.name(layer: layer, expert: $0) }
    }
}

extension TensorPart {
    /// Whether it has its rows as they are.
    fileprivate var hasPlainRows: Bool { order.isEmpty && pairedHeads == nil && !isTransposed && adds == 0 }
}
