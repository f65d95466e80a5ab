import Analysis
import Checkpoints
import Surgery

/// Cuts the run of layers without which the model predicts a text best.
func cut(_ path: String, layers count: Int, text: String, to output: String) throws -> Checkpoint {
    let model = try Checkpoint.open(path)
    let plain = try DequantizeFolder(to: .f32).apply(to: model)
    let corpus = try Corpus([.path(text), .builtin], for: plain, contextLength: 256, limit: 8)
    let run = RunOptions(threads: 8)
    let similarity = try Similarity.measure(plain, corpus: corpus, overAllTokens: false, run: run)
    let closest = try similarity.candidates(size: count) { layers throws(CheckpointError) in
        _ = try CutLayers(layers: layers).apply(to: model)
    }
    let losses = try RunLoss.measure(closest?.runs ?? [], of: plain, corpus: corpus, run: run)
    guard let best = losses.best else { throw CheckpointError(file: path, "has no \(count) layers to cut") }
    let cut = try model.applying([CutLayers(layers: best.layers), Convert(to: .folder)])
    return try CheckpointWriter(threads: 8).write(OutputPlan(cut), to: output)
}
