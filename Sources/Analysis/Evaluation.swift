public import Checkpoints
internal import Decoder

#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// How well a model predicts a text, as llama-perplexity measures it.
///
/// The text is cut into contexts that do not overlap. In each, the first token is replaced by the BOS token where the
/// model has one, and the tokens of the second half are scored, each given all tokens before it in its context.
public struct Evaluation: Sendable {
    /// How many tokens were scored.
    public let tokens: Int
    /// The mean negative log-likelihood of a token, in nats.
    public let negativeLogLikelihood: Double
    /// The standard error of that mean.
    public let standardError: Double

    /// An evaluation that was made before.
    package init(tokens: Int, negativeLogLikelihood: Double, standardError: Double) {
        (self.tokens, self.negativeLogLikelihood) = (tokens, negativeLogLikelihood)
        self.standardError = standardError
    }

    /// e to the mean negative log-likelihood.
    public var perplexity: Double { exp(negativeLogLikelihood) }
    /// The standard error of the perplexity, as llama-perplexity prints it behind ±.
    public var perplexityError: Double { perplexity * standardError }

    /// Contexts that are run together: enough that reading the weights again for the next ones costs little, and of long ones
    /// so few that their hidden states take little memory. The results do not depend on it.
    static func contextsAtOnce(_ model: DecoderModel, _ corpus: Corpus) -> Int {
        let byteCount = corpus.contextLength.multipliedReportingOverflow(
            by: model.plan.hidden * MemoryLayout<Float>.size)
        return byteCount.overflow ? 1 : min(16, max(1, (256 << 20) / max(1, byteCount.partialValue)))
    }

    /// Measures a model, which may be an unwritten cut.
    ///
    /// - Throws: when the model cannot be run, or computes NaN or infinity.
    public static func measure(
        _ checkpoint: Checkpoint, corpus: Corpus, run: RunOptions,
        progress: (@Sendable (_ done: Int, _ total: Int) -> Void)? = nil
    ) throws(CheckpointError) -> Evaluation {
        try checkScored(corpus)
        let model = try DecoderModel(checkpoint)
        let layers = model.plan.layers.count
        let contexts = corpus.inputs
        let contextsAtOnce = contextsAtOnce(model, corpus)
        let groups = (contexts.count + contextsAtOnce - 1) / contextsAtOnce
        var sums = LossSums()
        for group in 0..<groups {
            let places = group * contextsAtOnce..<min(contexts.count, (group + 1) * contextsAtOnce)
            let pass = try ForwardPass(
                model, contexts: Array(contexts[places]), precision: run.decoderPrecision, threads: run.threads,
                observer: FiniteStates(
                    model, contextLength: corpus.contextLength, firstContext: places.lowerBound))
            while pass.layer < layers {
                try pass.advance()
                progress?(group * (layers + 1) + pass.layer, groups * (layers + 1))
            }
            let losses = try pass.losses(
                of: targets(contexts: Array(corpus.contexts[places])), threads: run.threads)
            for loss in losses { sums.add(loss) }
            progress?((group + 1) * (layers + 1), groups * (layers + 1))
        }
        try checkpoint.checkUnchanged()
        _ = try finite(sums.mean, checkpoint)
        return sums.evaluation
    }

    /// Throws when contexts are too short to have a scored token.
    package static func checkScored(_ corpus: Corpus) throws(CheckpointError) {
        guard !corpus.contexts.isEmpty else { throw CheckpointError(file: corpus.path, "has no context to score") }
        guard corpus.contextLength > 2 else {
            throw CheckpointError(file: corpus.path, "a context of \(corpus.contextLength) tokens leaves none to score")
        }
    }

    /// The loss of a whole model, unless it is NaN or infinite.
    static func finite(_ loss: Double, _ checkpoint: Checkpoint) throws(CheckpointError) -> Double {
        guard loss.isFinite else {
            throw CheckpointError(
                file: checkpoint.path, "the loss on the text is \(loss)",
                hint: "a weight is NaN or infinite, or the values leave the range of f32")
        }
        return loss
    }

    /// The scored positions of consecutive contexts, each with the token that follows.
    package static func targets(contexts: [[Int32]]) -> [(index: Int, token: Int32)] {
        contexts.enumerated().flatMap { number, context in
            (context.count / 2..<max(context.count / 2, context.count - 1)).map { index in
                (number * context.count + index, context[index + 1])
            }
        }
    }
}

extension Corpus {
    /// The contexts as the model reads them: the first token of each is replaced by the BOS token where the model has one.
    package var inputs: [[Int32]] {
        guard let beginning else { return contexts }
        return contexts.map { [beginning] + $0.dropFirst() }
    }
}

extension Double {
    /// The perplexity of a loss in nats per token.
    package var perplexity: Double { exp(self) }
}
