internal import Checkpoints
internal import Formats

/// Weights that several layers use and one of them stores: the table of relative positions of T5, the block that Zamba's
/// hybrid layers share.
struct SharedParts {
    /// The cut.
    let layers: LayerCut
    /// The layers that use a part, by its entry in the table.
    private var users: [[Int]]
    /// Which layers have a part in their tensors, by its entry in the table.
    private var holders: [Set<Int>]
    /// Whether a part holds adapters, numbered by the layers that use it.
    private var hasAdapters: [Bool]
    /// A tensor of each part.
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
                if suffix.contains(part.part) {
                    holders[index].insert(layer)
                    examples[index] = examples[index] ?? tensor.name
                    if suffix.contains("adapter") { hasAdapters[index] = true }
                }
                if part.companion.isEmpty || suffix.hasPrefix(part.companion) { users[index].insert(layer) }
            }
        }
        self.users = users.map { $0.sorted() }
        self.holders = holders
        self.hasAdapters = hasAdapters
        self.examples = examples
    }

    /// The layer, by its old number, that stores a tensor of a layer that is cut; `nil` when it goes with its layer.
    func heir(of suffix: Substring) -> Int? {
        guard let index = LayerSettings.known.shared.firstIndex(where: { suffix.contains($0.part) }),
            holders[index].allSatisfy(layers.cut.contains)
        else { return nil }
        return users[index].first { !layers.cut.contains($0) }
    }

    /// Refuses a cut of layers that take turns with several stored blocks, or have adapters in them by their turn.
    func check() throws(CheckpointError) {
        for (index, part) in LayerSettings.known.shared.enumerated() where !part.companion.isEmpty {
            guard let layer = users[index].first(where: layers.cut.contains), let example = examples[index] else {
                continue
            }
            if holders[index].count > 1 || hasAdapters[index] {
                throw layers.refused(
                    example, "is used in turn by \(users[index].count) layers, layer \(layer) among them")
            }
            // transformers looks for a layer to tie, and finds none.
            if users[index].count(where: { !layers.cut.contains($0) }) == 1 {
                throw layers.refused(example, "is shared by \(users[index].count) layers, and one would be left")
            }
        }
    }
}
