internal import Analysis
internal import Checkpoints
internal import Surgery

/// A model after a step of `shrink`.
struct ShrinkStep {
    let name: String
    let checkpoint: Checkpoint
    /// How long the step took; `nil` where that is not known by itself.
    var seconds: Double?
}

/// What became of a model in the steps of `shrink`, compared with the whole one.
struct ShrinkSteps {
    /// A step with what was measured.
    struct Measured {
        let step: ShrinkStep
        /// One for each kind of text.
        let divergences: [Divergence]
        let answers: GreedyAnswers
    }

    let whole: Checkpoint
    let texts: [(name: String, corpus: Corpus)]
    let steps: [Measured]
    let wholeAnswers: GreedyAnswers
    /// The whole model in the bytes of the last step, and its divergences; `nil` when no type is small enough.
    let uncut: (model: WholeAtSize, divergences: [Divergence])?

    /// Prompts that are continued, and how far.
    static let prompts = 8, promptLength = 64, answerLength = 32

    /// Measures all steps; the whole model runs once for all of them.
    ///
    /// - Parameters:
    ///   - whole: the model before the cut, with weights that can be run.
    ///   - uncut: the whole model in the bytes of the last step.
    init(
        _ whole: Checkpoint, _ steps: [ShrinkStep], uncut: WholeAtSize?, _ texts: [(name: String, corpus: Corpus)],
        _ run: RunOptions, _ common: CommonOptions
    ) throws {
        self.whole = whole
        self.texts = texts
        let models = try steps.map { try DequantizeFolder(to: .f32).apply(to: $0.checkpoint) }
        let progress = Progress("judge", unit: .layers, quiet: common.quiet)
        let found = try texts.enumerated().map { index, text in
            try Divergence.measure(
                models + [uncut?.checkpoint].compactMap(\.self), reference: whole, corpus: text.corpus, run: run,
                progress: { [count = texts.count] in progress.report(index * $1 + $0, count * $1) })
        }
        progress.finish()
        func answers(_ checkpoint: Checkpoint) throws -> GreedyAnswers {
            let corpus = texts[0].corpus
            return try GreedyAnswers.write(
                checkpoint, corpus: corpus, count: ShrinkSteps.prompts,
                promptLength: min(ShrinkSteps.promptLength, max(1, corpus.contextLength / 2)),
                length: ShrinkSteps.answerLength, run: run)
        }
        wholeAnswers = try answers(whole)
        self.steps = try zip(steps, models).enumerated().map { index, pair in
            Measured(step: pair.0, divergences: found.map { $0[index] }, answers: try answers(pair.1))
        }
        self.uncut = uncut.map { ($0, found.map { $0[steps.count] }) }
    }

    /// The mean of a value over all judged tokens.
    static func mean(_ divergences: [Divergence], _ value: (Divergence) -> Double) -> Double {
        let tokens = divergences.reduce(0) { $0 + $1.tokens }
        return divergences.reduce(0) { $0 + value($1) * Double($1.tokens) } / Double(max(1, tokens))
    }

    /// The perplexity over all judged tokens.
    static func perplexity(_ divergences: [Divergence], _ value: (Divergence) -> Evaluation) -> Double {
        mean(divergences) { value($0).negativeLogLikelihood }.perplexity
    }
}
