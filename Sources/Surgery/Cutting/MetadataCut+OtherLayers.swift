internal import Checkpoints
internal import Formats

/// Layers that use results of other layers.
extension MetadataCut {
    /// Refuses to cut a layer that a later one uses.
    func checkSharing(_ metadata: GGUFMetadata) throws(CheckpointError) {
        for name in LayerSettings.known.sharingKinds.keys.sorted() where name != "" {
            guard let list = metadata[key(name)]?.array else { continue }
            // Layers with a window and recurrent layers have no indices to share.
            let windows = windows(metadata), recurrent = flags(metadata, "attention.recurrent_layers")
            let heads = metadata[key("attention.head_count_kv")]?.array ?? []
            try layers.checkSharing(key(name), name, list.map { $0.json() }) { layer in
                func holds(_ list: [Bool]) -> Bool { list.indices.contains(layer) && list[layer] }
                return !holds(windows) && !holds(recurrent) && !(heads.indices.contains(layer) && heads[layer].int == 0)
            }
        }
    }

    /// Refuses a cut that makes another kind of layer the first when llama.cpp reads the sizes of all layers from it.
    func checkFirstLayer(_ metadata: GGUFMetadata) throws(CheckpointError) {
        guard let first = layers.kept.first, first > 0,
            !LayerSettings.known.sizesByLayer.contains(architecture)
        else { return }
        let windows = windows(metadata)
        if windows.indices.contains(first), windows[first] != windows[0] {
            for name in ["rope.dimension_count", "attention.key_length", "attention.value_length"] {
                guard let size = metadata[key(name + "_swa")]?.int, size != metadata[key(name)]?.int else { continue }
                throw layers.refused(
                    key(name + "_swa"),
                    "is \(size), and llama.cpp reads the size of all layers from the first one, which "
                        + (windows[first] ? "would then have a window" : "would then have no window"))
            }
        }
        let heads = (metadata[key("attention.head_count")]?.array ?? []).map { $0.int ?? 0 }
        guard heads.indices.contains(first), heads[first] != heads[0] else { return }
        let isStated = metadata[key("attention.key_length")] != nil && metadata[key("attention.value_length")] != nil
        guard isStated, heads[first] != 0, heads[0] != 0 else {
            throw layers.refused(
                key("attention.head_count"),
                "is \(heads[0]) in the first layer and \(heads[first]) in layer \(first), and llama.cpp reads the head "
                    + "size of all layers from the first one")
        }
    }

    /// Whether each layer has a window, according to the file or the runtime; empty when unknown.
    private func windows(_ metadata: GGUFMetadata) -> [Bool] {
        derivedWindows.isEmpty ? flags(metadata, "attention.sliding_window_pattern") : derivedWindows
    }

    private func flags(_ metadata: GGUFMetadata, _ name: String) -> [Bool] {
        (metadata[key(name)]?.array ?? []).map { $0.bool ?? (($0.int ?? 0) != 0) }
    }
}
