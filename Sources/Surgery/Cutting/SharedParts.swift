internal import Checkpoints
internal import Formats

/// Weights that several layers use and one of them stores: T5's table of relative positions, the module shared by
/// Zamba's hybrid layers.
struct SharedParts {
    /// The cut.
    let layers: LayerCut
    /// The layers that use each part, by its index in the table.
    private var users: [[Int]]
    /// The layers that store each part, by its index in the table.
    private var holders: [Set<Int>]
    /// Whether each part contains adapters numbered by the layers that use it.
    private var hasAdapters: [Bool]
    /// One tensor of each part, for messages.
    private var examples: [String?]

    init(_ checkpoint: Checkpoint, _ layers: LayerCut) {
        self.layers = layers
        let known = LayerSettings.known.shared
        var users = [Set<Int>](repeating: [], count: known.count)
        var holders = [Set<Int>](repeating: [], count: known.count)
        var examples = [String?](repeating: nil, count: known.count)
        var hasAdapters = [Bool](repeating: false, count: known.count)
        for tensor in checkpoint.tensors {
            guard let layer = layers.pattern.layer(of: tensor.name), layer < layers.count,
                let suffix = layers.pattern.suffix(of: tensor.name)
            else { continue }
            for (index, part) in known.enumerated() {
                if suffix.containsBytes(of: part.part) {
                    holders[index].insert(layer)
                    examples[index] = examples[index] ?? tensor.name
                    if suffix.containsBytes(of: "adapter") { hasAdapters[index] = true }
                }
                if part.companion.isEmpty || suffix.hasPrefix(part.companion) { users[index].insert(layer) }
            }
        }
        self.users = users.map { $0.sorted() }
        self.holders = holders
        self.hasAdapters = hasAdapters
        self.examples = examples
    }

    /// The old number of the layer that stores the tensor after its own layer is cut; `nil` when the tensor is cut too.
    func heir(of suffix: Substring) -> Int? {
        guard let index = LayerSettings.known.shared.firstIndex(where: { suffix.containsBytes(of: $0.part) }),
            holders[index].allSatisfy(layers.cut.contains)
        else { return nil }
        return users[index].first { !layers.cut.contains($0) }
    }

    /// Refuses a cut of layers that use several shared modules in turn, or that have adapters in them.
    func check() throws(CheckpointError) {
        for (index, part) in LayerSettings.known.shared.enumerated() where !part.companion.isEmpty {
            guard let layer = users[index].first(where: layers.cut.contains), let example = examples[index] else {
                continue
            }
            if holders[index].count > 1 || hasAdapters[index] {
                throw layers.refused(
                    example, "is used in turn by \(users[index].count) layers, including layer \(layer)")
            }
            // transformers requires a layer to tie and would find none.
            if users[index].count(where: { !layers.cut.contains($0) }) == 1 {
                throw layers.refused(example, "is shared by \(users[index].count) layers, and only one would remain")
            }
        }
    }
}
