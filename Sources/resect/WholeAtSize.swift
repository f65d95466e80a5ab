internal import Analysis
internal import Checkpoints
internal import Surgery

/// What the bytes of a shrunk model would buy without a cut: the whole model in the largest type of GGUF that is no larger.
struct WholeAtSize {
    private let text: String?

    init(
        _ model: Checkpoint, _ written: Checkpoint, _ texts: [(name: String, corpus: Corpus)], _ run: RunOptions,
        _ common: CommonOptions
    ) throws {
        let limit = written.byteCount
        var best: (name: String, checkpoint: Checkpoint)?
        for mixture in Mixture.all {
            var settings = Quantize.Settings(mixture)
            settings.allowsRequantize = true
            // A type that needs an importance matrix, or does not suit the shapes, is no choice.
            guard let whole = try? WholeAtSize.quantized(model, settings), whole.byteCount <= limit,
                whole.byteCount > best?.checkpoint.byteCount ?? 0
            else { continue }
            best = (mixture.name, whole)
        }
        guard let best else {
            text = "no type is small enough to keep all layers in \(limit.byteText)"
            return
        }
        var sum = 0.0, tokens = 0
        for (_, corpus) in texts {
            let found = try Evaluate.measure(best.checkpoint, corpus, run, common, "whole in \(best.name)")
            sum += found.negativeLogLikelihood * Double(found.tokens)
            tokens += found.tokens
        }
        text =
            "without a cut, \(best.name) takes \(best.checkpoint.byteCount.byteText) (here \(limit.byteText)) and has perplexity "
            + "\((sum / Double(max(1, tokens))).perplexity.fixed(3)) over all judged text"
    }

    private static func quantized(
        _ model: Checkpoint, _ settings: Quantize.Settings
    ) throws(CheckpointError) -> Checkpoint {
        let plain = try DequantizeFolder(to: .f32).apply(to: model)
        return try plain.applying([Convert.beforeQuantization(of: model, to: .gguf), Quantize(settings)])
    }

    /// Prints the sentence.
    func say() {
        if let text { Output.line(text) }
    }
}
