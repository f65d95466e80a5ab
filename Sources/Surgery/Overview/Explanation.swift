public import Checkpoints
internal import Formats

/// Which parts of a model resect does not know: names of tensors, keys of the configuration, and shapes that do not
/// follow from it.
///
/// A model of an unknown architecture is compared with the known one that shares most of its names.
public struct Explanation: Sendable {
    /// The architecture that the model is compared with; `nil` when none shares half of its names.
    public let architecture: Architecture?
    /// Whether that is the architecture of the model itself.
    public let isOwn: Bool
    /// Kinds of tensors, and how many of them the architecture knows.
    public let kindCount: Int, knownKindCount: Int
    /// Kinds of tensors that the architecture does not have.
    public let names: [TensorSums.Kind]
    /// Keys of the configuration that resect does not read, with their values.
    public let keys: [(key: String, value: JSON)]
    /// What contradicts the architecture: missing tensors, other shapes, settings that cannot be read. Problems that
    /// many layers share are given once.
    public let problems: [(problem: String, count: Int)]
    /// The kinds of the names with their tensors, for their shapes.
    private let tensors: [Tensor]

    /// Compares a checkpoint with what is known.
    public init(_ checkpoint: Checkpoint) {
        // Codes and scales of quantized weights are parts of weights, and no names of their own. Weights that cannot be
        // dequantized are shown as they are stored.
        let plain = (try? DequantizeFolder(to: .f32).apply(to: checkpoint)) ?? checkpoint
        tensors = plain.tensors
        let kinds = TensorSums(plain.tensors, layers: plain.layerPattern).kinds
        isOwn = checkpoint.architecture != nil
        architecture = checkpoint.architecture ?? Explanation.nearest(kinds, plain)
        kindCount = kinds.count
        if let architecture {
            let form = checkpoint.form
            names = kinds.filter { !architecture.has(plain.tensors[$0.first].name, form) }
        } else {
            names = kinds
        }
        knownKindCount = kindCount - names.count
        keys = UnreadKeys(checkpoint, architecture).keys
        var model = plain
        model.architecture = architecture
        problems = Explanation.problems(of: model)
    }

    /// The shape of the first tensor of a kind.
    public func shape(of kind: TensorSums.Kind) -> [Int] { tensors[kind.first].shape }

    /// The architecture that has most of the names, when that is half of them or more.
    private static func nearest(_ kinds: [TensorSums.Kind], _ checkpoint: Checkpoint) -> Architecture? {
        let all = Architecture.all.map { $0.placed(in: checkpoint.tensors) }
        let counts = all.map { known in
            kinds.count { known.has(checkpoint.tensors[$0.first].name, checkpoint.form) }
        }
        guard let most = counts.max(), most > 0, 2 * most >= kinds.count else { return nil }
        return counts.firstIndex(of: most).map { all[$0] }
    }

    /// What contradicts the architecture of a checkpoint.
    private static func problems(of checkpoint: Checkpoint) -> [(problem: String, count: Int)] {
        var found: [(problem: String, count: Int)] = []
        func add(_ error: CheckpointError) {
            let name = error.tensor.map { "\(TensorSums.pattern(of: $0)) " } ?? ""
            let problem = name + error.problem
            if let index = found.firstIndex(where: { $0.problem == problem }) {
                found[index].count += 1
            } else {
                found.append((problem, 1))
            }
        }
        func attempt(_ body: () throws(CheckpointError) -> Void) {
            do throws(CheckpointError) { try body() } catch { add(error) }
        }
        attempt { () throws(CheckpointError) in try checkpoint.checkConsistency() }
        guard let settings = checkpoint.settings, checkpoint.form != .safetensors else { return found }
        attempt { () throws(CheckpointError) in _ = try ModelPlan(checkpoint) }
        // The first contradiction may have hidden others: every role is looked for by itself.
        let finder = RoleFinder(checkpoint, settings), single = found
        found = []
        for role in settings.architecture.tensors where checkpoint.part(of: role) != nil {
            for layer in role.isPerLayer ? Array(0..<checkpoint.layerCount).map(Optional.some) : [nil] {
                attempt { () throws(CheckpointError) in _ = try finder.find(role, layer: layer) }
            }
        }
        for (problem, _) in single where !found.contains(where: { $0.problem == problem }) {
            found.insert((problem, 1), at: 0)
        }
        return found
    }
}

extension Architecture {
    /// Whether a tensor has a role, is known to be unused, or belongs to a part beside the language model.
    fileprivate func has(_ name: String, _ form: Checkpoint.Form) -> Bool {
        let parts = tensors.compactMap { form == .gguf ? $0.gguf : $0.huggingFace }
        return parts.contains { $0.match(name) != .none }
            || form != .gguf && (unused.contains { $0.match(name) != .none } || LayerChoice.namesOther(name))
    }
}
