internal import Checkpoints
internal import Surgery

/// Weights that are rounded to NF4, as in QLoRA.
enum HeldWeights {
    /// Weights of few bits are rounded again: the adapters make up for that too.
    private static var coding: QuantizeFolder {
        var settings = FolderQuantizationSettings()
        settings.allowsRequantize = true
        return QuantizeFolder(.nf4, settings: settings)
    }

    /// A model whose linear weights are coded once, kept in a file without a name, and decoded whenever rows are wanted.
    static func kept(_ model: Checkpoint) throws(CheckpointError) -> Checkpoint {
        var coded = try coding.apply(to: model)
        var file = try UnnamedFile(name: "the NF4 weights")
        var ranges: [(tensor: Int, bytes: Range<Int>)] = []
        for (index, tensor) in coded.tensors.enumerated() {
            guard case .computed = tensor.recipe else { continue }
            let start = file.byteCount
            try tensor.withBytes(rows: 0..<tensor.rowCount) { (bytes) throws(CheckpointError) in try file.append(bytes)
            }
            ranges.append((index, start..<file.byteCount))
        }
        let (mapped, recipes) = try file.mapped(ranges.map(\.bytes))
        for (range, recipe) in zip(ranges, recipes) { coded.tensors[range.tensor].recipe = recipe }
        coded.sources.append(mapped)
        return try DequantizeFolder(to: .f32).apply(to: coded)
    }

    /// A model with the values that `kept` has, to be written.
    static func rounded(_ model: Checkpoint) throws(CheckpointError) -> Checkpoint {
        try DequantizeFolder(to: .f32).apply(to: coding.apply(to: model))
    }
}
