internal import Checkpoints
internal import Decoder
internal import Kernels
internal import Surgery
internal import Weights

extension TrainedMatrices {
    /// The adapter as a folder that PEFT loads.
    ///
    /// - Parameters:
    ///   - base: the model that gets it, under the names of a folder.
    ///   - model: the same to run.
    ///   - layer: the layer of the base for a layer of the training.
    func folder(
        of base: Checkpoint, model: DecoderModel, _ settings: TrainingSettings, baseName: String?,
        layer: (Int) -> Int = { $0 }
    ) throws(CheckpointError) -> Checkpoint {
        var trained = TrainedAdapter(alpha: settings.alpha, dropout: settings.dropout, baseName: baseName)
        for pair in pairs {
            let position = AdapterPosition(layer: layer(pair.position.layer), role: pair.position.role)
            guard let linear = model.linear(position) else { continue }
            trained.add(to: linear.weight.name, a: pair.a.tensor("lora_A"), b: pair.b.tensor("lora_B"))
        }
        return try trained.checkpoint(for: base)
    }
}

extension TrainedMatrices.Matrix {
    /// The values.
    func tensor(_ name: String) -> Tensor { Tensor(name: name, rows: rows, columns: columns, values: values) }
}
