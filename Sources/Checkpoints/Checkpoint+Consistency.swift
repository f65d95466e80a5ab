internal import Formats

extension Checkpoint {
    /// Holds the tensors against the configuration: the layer count, and every list with one entry per layer.
    ///
    /// - Throws: when they disagree; a runtime would refuse such a file, or load it and be wrong.
    public func checkConsistency() throws(CheckpointError) {
        guard let architecture else { return }
        let layers = layerCount
        if form == .gguf {
            try expect("\(architecture.gguf).block_count", metadata.setting("block_count")?.int, layers)
            for (key, rule) in architecture.ggufPerLayer where rule == .list {
                guard let list = metadata.setting(key)?.array else { continue }
                try expect("the length of \(architecture.gguf).\(key)", list.count, layers)
            }
        } else if let config {
            try expect(architecture.layersKey, config[architecture.layersKey]?.int, layers)
            for (key, rule) in architecture.perLayer where rule == .list {
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
