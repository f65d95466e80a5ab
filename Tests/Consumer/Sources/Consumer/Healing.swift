import Analysis
import Checkpoints
import Healing
import Surgery

/// Cuts given layers, heals the cut by fitted weights and then by trained adapters, and writes the result.
func heal(_ path: String, without layers: [Range<Int>], text: [TextSource], to output: String) throws -> Checkpoint {
    let model = try Checkpoint.open(path)
    let plain = try DequantizeFolder(to: .f32).apply(to: model)
    let dropped = LayerRuns(layers)
    var training = TrainingSettings(removed: Double(dropped.count) / Double(model.layerCount))
    (training.steps, training.batch) = (4, 1)
    var sizes = HealingText.Sizes(fitting: 32)
    (sizes.ranking, sizes.training) = (0, training.contextCount)
    let parts = HealingParts(try HealingText(sources: text, for: plain, contextLength: 256, sizes: sizes))
    let report = try ClosedForm().heal(plain, dropping: dropped, text: parts, run: RunOptions(threads: 8))
    let fitted = try report.result.weights.edit.apply(to: model)
    let trainer = AdapterTrainer { [training] _ in training }
    let trained = try trainer.train(model, fitted: fitted, without: dropped, text: parts, threads: 8)
    let healed = try trained.folded(into: fitted, threads: 8).applying([CutLayers(layers: dropped)])
    return try CheckpointWriter(threads: 8).write(OutputPlan(healed), to: output)
}
