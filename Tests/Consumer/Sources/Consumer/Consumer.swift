import Analysis
import Checkpoints
import Surgery

/// Cuts the layer that changes the hidden states least: `Consumer MODEL TEXT OUTPUT`.
@main
struct Consumer {
    static func main() throws {
        let arguments = CommandLine.arguments
        let model = try Checkpoint.open(arguments[1])
        let corpus = try Corpus(path: arguments[2], for: model, contextLength: 16, limit: 1)
        let similarity = try Similarity.measure(
            model, corpus: corpus, overAllTokens: false, run: RunOptions(threads: 2))
        let candidates = try similarity.candidates(size: 1) { (layers) throws(CheckpointError) in
            _ = try CutLayers(layers: layers).apply(to: model)
        }
        guard let run = candidates?.runs.first else { fatalError("a model of one layer") }
        let cut = try model.applying([CutLayers(layers: run.layers), Convert(to: .folder)])
        let written = try CheckpointWriter(replaces: true, threads: 2).write(OutputPlan(cut), to: arguments[3])
        let count: JSON? = written.config?["num_hidden_layers"]
        let types: Set<DType> = Set(written.tensors.map(\.dtype))
        print("\(model.layerCount) layers without \(run.layers): \(count?.int ?? 0), of \(types)")
        precondition(count?.int == model.layerCount - 1 && written.layerCount == model.layerCount - 1)
    }
}
