internal import Formats

extension Checkpoint {
    /// Holds the tensors against the configuration: the layer count, and every list with one entry per layer.
    ///
    /// - Throws: when they disagree; a runtime would refuse such a file, or load it and be wrong.
    public func checkConsistency() throws(CheckpointError) {
        let layers = layerCount
        guard layers > 0 else { return }
        if form == .gguf {
            let prefix = metadata.architecture ?? ""
            try expect("\(prefix).block_count", metadata.setting("block_count")?.int, layers)
            for (key, rule) in LayerSettings.known.gguf where rule == .list {
                guard let list = metadata.setting(key)?.array else { continue }
                try expect("the length of \(prefix).\(key)", list.count, layers)
            }
        } else if let config {
            let known = LayerSettings.known
            if let key = known.layerCountKeys.first(where: { config[$0] != nil }) {
                // Layers that predict several tokens ahead are stored behind the counted ones.
                let extra = max(0, config["num_nextn_predict_layers"]?.int ?? 0)
                let counted = config[key]?.int
                if counted != layers - extra { try expect(key, counted, layers) }
            }
            for (key, rule) in known.config where rule == .list {
                guard let list = config[key]?.array else { continue }
                try expect("the length of \(key)", list.count, layers)
            }
        }
    }

    private func expect(_ what: String, _ value: Int?, _ layers: Int) throws(CheckpointError) {
        guard value == layers else {
            throw CheckpointError(
                file: path,
                "\(what) is \(value.map(String.init) ?? "missing"); the tensors have \(layers) layers")
        }
    }
}
