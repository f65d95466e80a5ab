internal import Checkpoints
internal import Formats
internal import Weights

/// The names of experts' weights in a folder, in both forms: a matrix for each expert, as transformers and other
/// runtimes have them, and a stack of all experts under `switch_mlp`, as mlx-lm has them.
struct StackedExperts {
    /// One role of a mixture of experts, without the `.weight` of its names.
    private struct Kind {
        let matrix, stack: NameTemplate
        let count: Int
    }

    private static let mark = ".switch_mlp."
    private static let weight = ".weight"
    private let kinds: [Kind]
    /// The number of prefixes that names can have.
    private let prefixCount: Int
    private let architecture: Architecture?
    private let settings: Settings?

    /// The names for a checkpoint; none when resect does not know its architecture, or it has no experts.
    init(_ checkpoint: Checkpoint) throws(CheckpointError) {
        let found = checkpoint.architecture.flatMap { own in Architecture.all.first { $0.name == own.name } }
        architecture = found
        settings = checkpoint.architecture.map { Settings(checkpoint, $0) }
        guard let found, let settings, checkpoint.form == .folder else {
            (kinds, prefixCount) = ([], 1)
            return
        }
        var kinds: [Kind] = [], prefixCount = 1
        for role in found.tensors {
            guard let matrix = role.huggingFace, matrix.isPerExpert,
                let stack = role.huggingFaceAlternatives.first(where: { $0.name(layer: 0).containsBytes(of: Self.mark) }
                )
            else { continue }
            let count = try settings.expertCount(role)
            // Both have a name for each prefix, in the same order.
            prefixCount = stack.names.count
            for (matrix, stack) in zip(matrix.names, stack.names) {
                guard let matrix = matrix.withoutWeight, let stack = stack.withoutWeight else { continue }
                kinds.append(Kind(matrix: matrix, stack: stack, count: count))
            }
        }
        (self.kinds, self.prefixCount) = (kinds, prefixCount)
    }

    /// The experts whose weights a module stacks.
    struct Members {
        /// The number of experts that the configuration states.
        let count: Int
        fileprivate let matrix: NameTemplate
        fileprivate let layer: Int

        /// The module of an expert.
        func module(_ expert: Int) -> String { matrix.name(layer: layer, expert: expert) }
    }

    /// The experts in a stack; `nil` for a module that is not a stack.
    func members(ofStack module: String) -> Members? {
        for kind in kinds {
            guard case .layer(let layer) = kind.stack.match(module) else { continue }
            return Members(count: kind.count, matrix: kind.matrix, layer: layer)
        }
        return nil
    }

    /// A checkpoint with a matrix for each expert instead of stacks, whether of one role or of two fused.
    func takingApart(_ checkpoint: Checkpoint) throws(CheckpointError) -> Checkpoint {
        guard let architecture, let settings, !kinds.isEmpty else { return checkpoint }
        var result = checkpoint
        result.tensors = []
        for tensor in checkpoint.tensors {
            var matrices: [Tensor] = []
            for (role, whole) in zip(settings.architecture.tensors, architecture.tensors) {
                guard let place = role.huggingFace, !place.isPerExpert, let own = whole.huggingFace, own.isPerExpert,
                    let (prefix, layer) = place.layer(of: tensor.name), own.names.indices.contains(prefix)
                else { continue }
                let stack = try settings.role(place, of: tensor, file: checkpoint.path)
                let count = try settings.expertCount(role)
                guard stack.shape.count == 3, stack.shape[0] == count else {
                    throw CheckpointError(
                        file: checkpoint.path, tensor: tensor.name,
                        "has the shape \(tensor.shape); the configuration states \(count) experts")
                }
                for expert in 0..<count {
                    var matrix = stack.matrix(expert)
                    matrix.name = own.names[prefix].name(layer: layer, expert: expert)
                    matrices.append(matrix)
                }
            }
            result.tensors += matrices.isEmpty ? [renamed(tensor)] : matrices
        }
        result.placeRoles()
        return result
    }

    /// A router with the name that it has beside a matrix for each expert. Mixtral's router has another name beside
    /// fused experts.
    private func renamed(_ tensor: Tensor) -> Tensor {
        guard let part = architecture?.tensor(role: "router")?.huggingFace,
            let (name, layer) = part.layer(of: tensor.name)
        else { return tensor }
        var result = tensor
        result.name = part.names[name % prefixCount].name(layer: layer)
        return result
    }

    /// A checkpoint in which equal parts of all experts are joined into stacks, if all are there and have the same type
    /// and shape.
    func joining(_ checkpoint: Checkpoint) -> Checkpoint {
        var parts: [ExactString: [Int: Tensor]] = [:]
        var places: [(key: ExactString, count: Int)?] = []
        for tensor in checkpoint.tensors {
            guard let (name, expert, count) = stack(of: tensor.name) else {
                places.append(nil)
                continue
            }
            parts[ExactString(name), default: [:]][expert] = tensor
            places.append((ExactString(name), count))
        }
        var result = checkpoint
        result.tensors = []
        var written: Set<ExactString> = []
        for (tensor, place) in zip(checkpoint.tensors, places) {
            guard let place, let stack = StackedExperts.join(parts[place.key] ?? [:], place.count, place.key.text)
            else {
                result.tensors.append(tensor)
                continue
            }
            if written.insert(place.key).inserted { result.tensors.append(stack) }
        }
        result.placeRoles()
        return result
    }

    /// The stack with these members; `nil` when one is missing or unlike the others.
    private static func join(_ members: [Int: Tensor], _ count: Int, _ name: String) -> Tensor? {
        guard let first = members[0], members.count == count, first.shape.count == 2,
            members.values.allSatisfy({ $0.dtype == first.dtype && $0.shape == first.shape })
        else { return nil }
        let parts = (0..<count).compactMap { members[$0] }.map { RowJoin.Part(recipe: $0.recipe, run: $0.rowCount) }
        return Tensor(name: name, dtype: first.dtype, shape: [count] + first.shape, recipe: .joining(RowJoin(parts)))
    }

    /// The name of the stack that a tensor of an expert belongs to, whatever its ending: `.scales` of a matrix are part of
    /// the `.scales` of the stack.
    private func stack(of name: String) -> (name: String, expert: Int, count: Int)? {
        guard let dot = name.utf8.lastIndex(of: UInt8(ascii: ".")) else { return nil }
        let module = String(name[..<dot])
        for kind in kinds {
            guard let expert = kind.matrix.expert(in: module), expert < kind.count,
                case .layer(let layer) = kind.matrix.match(module)
            else { continue }
            return (kind.stack.name(layer: layer) + name[dot...], expert, kind.count)
        }
        return nil
    }
}

extension Checkpoint {
    /// Determines again in which tensors the roles are, after the tensors have changed.
    mutating func placeRoles() {
        guard let own = architecture, let found = Architecture.all.first(where: { $0.name == own.name }) else { return }
        architecture = found.placed(in: tensors)
    }
}

extension NameTemplate {
    /// The template of the module whose weight it names; `nil` for other tensors.
    fileprivate var withoutWeight: NameTemplate? {
        text.hasSuffix(".weight") ? NameTemplate(String(text.dropLast(".weight".count))) : nil
    }
}

extension TensorPart {
    /// Which of the names a tensor has, and the layer in it.
    fileprivate func layer(of tensor: String) -> (name: Int, layer: Int)? {
        for (index, name) in names.enumerated() {
            if case .layer(let layer) = name.match(tensor) { return (index, layer) }
        }
        return nil
    }
}
