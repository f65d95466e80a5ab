internal import Checkpoints
internal import Formats

/// Layers that use results of an earlier layer: the indices of sparse attention, keys and values.
extension LayerCut {
    /// Refuses to cut a layer that a later one uses, by a list of kinds: an entry such as `shared` uses the last
    /// earlier layer of another kind.
    ///
    /// - Parameter takesPart: whether a layer uses or computes such results; other layers are skipped.
    func checkSharing(
        _ key: String, _ name: String, _ list: [JSON], takesPart: (Int) -> Bool = { _ in true }
    ) throws(CheckpointError) {
        let known = LayerSettings.known.sharingKinds
        let kinds = known[name] ?? known[""] ?? []
        func uses(_ layer: Int) -> Bool { list.indices.contains(layer) && kinds.contains(list[layer]) }
        let layers = (0..<count).filter(takesPart)
        for layer in layers where uses(layer) && renumbered(layer) != nil {
            guard let source = layers.last(where: { $0 < layer && !uses($0) }), renumbered(source) == nil else {
                continue
            }
            let last = layers.last { user in
                user > source && !layers.contains { $0 > source && $0 <= user && !uses($0) }
            }
            throw refused(
                key, "says that layer \(layer) uses what layer \(source) computes",
                hint: last.map { "cut the layers \(source):\($0 + 1) together, or others" })
        }
    }
}
