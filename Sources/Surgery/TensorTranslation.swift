internal import Checkpoints
internal import Formats
internal import Weights

/// The tensors of a model with the names and row orders of the other container.
/// A stored tensor is split into its roles, and a tensor of the other container is assembled from roles. Names, row
/// orders and fusions come from the architecture file.
struct TensorTranslation {
    private let source: Checkpoint
    let settings: Settings
    /// Whether the result is GGUF.
    let toGGUF: Bool
    private let tensors: [ExactString: Tensor]

    init(_ source: Checkpoint, _ settings: Settings, toGGUF: Bool) {
        self.source = source
        self.settings = settings
        self.toGGUF = toGGUF
        tensors = Dictionary(source.tensors.map { (ExactString($0.name), $0) }) { first, _ in first }
    }

    /// A translation of a folder to GGUF or back; tensors may be missing.
    ///
    /// - Throws: when resect does not know the architecture.
    init(_ source: Checkpoint) throws(CheckpointError) {
        let settings = Settings(source, try Convert.architecture(of: source))
        self.init(source, settings, toGGUF: source.form != .gguf)
    }

    /// All tensors, in source order.
    ///
    /// - Throws: for a tensor that the architecture does not have, and for row counts that do not fit it.
    func result() throws(CheckpointError) -> [Tensor] {
        var result: [Tensor] = []
        if toGGUF, let rope = settings.architecture.layer?.rope {
            result += try RotaryPlan(source, settings, rope, isWindowed: false).ggufTensors
        }
        var written: Set<ExactString> = []
        for tensor in source.tensors {
            if toGGUF, settings.architecture.unused.contains(where: { $0.match(tensor.name) != .none }) { continue }
            let (roles, layer) = try roles(in: tensor)
            for role in roles {
                if try isOff(role, layer: layer) { continue }
                guard let target = part(role, inTarget: true) else {
                    guard try settings.uses(role, layer: layer) else { continue }
                    throw unnamed(tensor)
                }
                let name = target.name(layer: layer)
                guard written.insert(ExactString(name)).inserted else { continue }
                let whole = try stored(name, role, target, layer)
                guard target.isPerExpert else {
                    result.append(whole)
                    continue
                }
                for expert in 0..<whole.shape[0] {
                    var matrix = whole.matrix(expert)
                    matrix.name = target.name(layer: layer, expert: expert)
                    result.append(matrix)
                }
            }
        }
        return result
    }

    /// Whether a role is a bias that config.json turns off: transformers does not read it, and llama.cpp would add it.
    private func isOff(_ role: TensorRole, layer: Int?) throws(CheckpointError) -> Bool {
        guard toGGUF, role.role.hasSuffix("_bias") else { return false }
        return try settings.turnsOff(role, layer: layer)
    }

    /// The tensors that are left out because config.json turns them off.
    func turnedOff() throws(CheckpointError) -> [String] {
        var result: [String] = []
        for tensor in source.tensors where tensor.name.hasSuffix("bias") {
            if settings.architecture.unused.contains(where: { $0.match(tensor.name) != .none }) { continue }
            let (roles, layer) = try roles(in: tensor)
            var allOff = true
            for role in roles where try !isOff(role, layer: layer) { allOff = false }
            if allOff { result.append(tensor.name) }
        }
        return result
    }

    func part(_ role: TensorRole, inTarget: Bool) -> TensorPart? {
        toGGUF == inTarget ? role.gguf : role.huggingFace
    }

    /// The roles in a tensor of the source.
    func roles(in tensor: Tensor) throws(CheckpointError) -> (roles: [TensorRole], layer: Int?) {
        var found: [TensorRole] = [], layer: Int?
        for role in settings.architecture.tensors {
            guard let part = part(role, inTarget: false) else { continue }
            switch part.match(tensor.name) {
            case .none: continue
            case .whole: break
            case .layer(let number): layer = number
            }
            if let expert = part.names.lazy.compactMap({ $0.expert(in: tensor.name) }).first {
                let count = try settings.expertCount(role)
                guard expert < count else {
                    throw CheckpointError(
                        file: source.path, tensor: tensor.name,
                        "is of an expert that the configuration, which has \(count), does not")
                }
            }
            found.append(role)
        }
        guard !found.isEmpty else { throw unnamed(tensor) }
        return (found, layer)
    }

    private func unnamed(_ tensor: Tensor) -> CheckpointError {
        CheckpointError(
            file: source.path, tensor: tensor.name,
            "has no \(toGGUF ? "GGUF" : "HF") name in the architecture '\(settings.architecture.name)'",
            hint: "resect formats --json lists the names")
    }

    /// The roles inside one tensor that has the name and the rows of a source tensor, each under its name and in the row order
    /// of the result.
    ///
    /// - Parameter isWeight: whether it replaces the source tensor; else it has only the rows of the roles, as factors
    ///   of a weight and biases have.
    /// - Throws: for a role that shares a tensor of the result with others.
    func parts(of tensor: Tensor, isWeight: Bool = false) throws(CheckpointError) -> [Tensor] {
        let (roles, layer) = try roles(in: tensor)
        return try roles.map { (role) throws(CheckpointError) in
            guard let own = part(role, inTarget: false), let target = part(role, inTarget: true), target.taken == nil,
                !own.isPerExpert, !target.isPerExpert
            else {
                throw CheckpointError(
                    file: source.path, tensor: tensor.name,
                    "has no \(toGGUF ? "GGUF" : "HF") tensor of its own in the architecture '\(settings.architecture.name)'"
                )
            }
            let rows =
                try isWeight
                ? settings.role(own, of: tensor, file: source.path) : settings.rows(own, of: tensor, file: source.path)
            var result = try ordered(rows, target)
            if isWeight { result = try settings.stored(target, from: result, file: source.path) }
            result.name = target.name(layer: layer)
            return result
        }
    }

    /// A single role in HF row order.
    private func plain(_ role: TensorRole, _ layer: Int?) throws(CheckpointError) -> Tensor? {
        guard let part = part(role, inTarget: false),
            let tensor = try settings.stored(
                part, of: role, layer: layer, file: source.path, { tensors[ExactString($0)] })
        else { return nil }
        return try settings.role(part, of: tensor, file: source.path)
    }

    /// A tensor of the result, assembled from its roles.
    private func stored(
        _ name: String, _ role: TensorRole, _ target: TensorPart, _ layer: Int?
    ) throws(CheckpointError) -> Tensor {
        var tensor: Tensor
        if target.taken == nil {
            guard let plain = try plain(role, layer) else { throw missing(role, layer, name) }
            tensor = try ordered(plain, target)
        } else {
            tensor = try joined(name, target, layer)
        }
        tensor = try settings.stored(target, from: tensor, file: source.path)
        tensor.name = name
        return tensor
    }

    /// A role in the row order of the target.
    private func ordered(_ tensor: Tensor, _ target: TensorPart) throws(CheckpointError) -> Tensor {
        if let role = target.pairedHeads {
            let matrix = try tensor.asMatrix(file: source.path)
            // Checks that the rows fit; the order is the inverse.
            _ = try settings.rows(of: target, rowCount: matrix.shape[0], tensor: tensor.name, file: source.path)
            let heads = try settings.int(role)
            return matrix.taking(.neighbours(heads: heads, headSize: matrix.shape[0] / heads)).shaped(like: tensor)
        }
        guard !target.order.isEmpty else { return tensor }
        var sizes = try settings.grid(of: target).sizes
        if let taken = target.taken {
            if case .index = taken.part {
                sizes.remove(at: taken.axis)
            } else {
                sizes[taken.axis] = try settings.grid(of: target).taken
            }
        }
        let matrix = try tensor.asMatrix(file: source.path)
        guard sizes.checkedProduct == matrix.shape[0] else {
            throw CheckpointError(
                file: source.path, tensor: tensor.name,
                "has \(matrix.shape[0]) rows; the configuration requires a grid of \(sizes)")
        }
        // Axis n of the role is axis order[n] of the stored tensor; this is the inverse.
        let inverse = sizes.indices.map { axis in target.order.firstIndex(of: axis) ?? axis }
        return matrix.taking(.permuting(target.order.map { sizes[$0] }, order: inverse)).shaped(like: tensor)
    }

    /// The join of all roles in a stored tensor.
    private func joined(_ name: String, _ target: TensorPart, _ layer: Int?) throws(CheckpointError) -> Tensor {
        var members: [(start: Int, tensor: Tensor)] = []
        for role in settings.architecture.tensors {
            guard let part = part(role, inTarget: true), part.name(layer: layer) == name else { continue }
            guard let plain = try plain(role, layer) else { throw missing(role, layer, name) }
            members.append((try settings.grid(of: part).start, try ordered(plain, part)))
        }
        members.sort { $0.start < $1.start }
        let sizes = try settings.grid(of: target).sizes
        let turns = sizes[..<(target.taken?.axis ?? 0)].reduce(1, *)  // fits: a part of the rows
        let matrices = try members.map { (member) throws(CheckpointError) in
            try member.tensor.asMatrix(file: source.path)
        }
        let rows = matrices.reduce(0) { $0 + $1.shape[0] }
        guard let first = matrices.first, sizes.checkedProduct == rows, rows % turns == 0,
            matrices.allSatisfy({
                $0.dtype == first.dtype && $0.shape.dropFirst() == first.shape.dropFirst() && $0.shape[0] % turns == 0
            })
        else {
            throw CheckpointError(
                file: source.path, tensor: name,
                "consists of parts with the shapes \(matrices.map(\.shape)), which do not fill the grid \(sizes)")
        }
        let parts = matrices.map { RowJoin.Part(recipe: $0.recipe, run: $0.shape[0] / turns) }
        let whole = Tensor(
            name: name, dtype: first.dtype, shape: [rows] + first.shape.dropFirst(),
            recipe: .joining(RowJoin(parts, turns: turns)))
        return members.first.map { whole.shaped(like: $0.tensor) } ?? whole
    }

    private func missing(_ role: TensorRole, _ layer: Int?, _ name: String) -> CheckpointError {
        CheckpointError(
            file: source.path, tensor: part(role, inTarget: false)?.name(layer: layer) ?? role.role,
            "is missing; \(name) needs it")
    }
}
