public import Analysis
public import Checkpoints
internal import Surgery

/// A model after a step of `Shrink`.
public struct ShrinkStep: Sendable {
    /// The name of the step: `cut`, `refit`, `lora`, the type of the weights, or `written`.
    public let name: String
    /// The model.
    public let checkpoint: Checkpoint
    /// How long the step took; `nil` where that is not known by itself.
    public var seconds: Double?
}

/// What became of a model in the steps of `Shrink`, compared with the whole one.
public struct ShrinkSteps: Sendable {
    /// A step with what was measured.
    public struct Measured: Sendable {
        /// The step.
        public let step: ShrinkStep
        /// One for each kind of text.
        public let divergences: [Divergence]
        /// What the model writes.
        public let answers: GreedyAnswers
    }

    /// The model before the cut, as it was opened.
    public let whole: Checkpoint
    /// The text that judges, by kind.
    public let texts: [(name: String, corpus: Corpus)]
    /// The steps in order; the last one is what was written.
    public let steps: [Measured]
    /// What the whole model writes.
    public let wholeAnswers: GreedyAnswers
    /// The whole model in the bytes of the last step, and its divergences; `nil` when no type is small enough.
    public let uncut: (model: WholeAtSize, divergences: [Divergence])?

    /// Prompts that are continued, and how many tokens they have.
    static let prompts = 8, promptLength = 64
    /// How many tokens each model writes.
    public static let answerLength = 32

    /// Measures all steps; the whole model runs once for all of them.
    init(
        _ whole: Checkpoint, _ steps: [ShrinkStep], uncut: WholeAtSize?, _ texts: [(name: String, corpus: Corpus)],
        _ run: RunOptions, _ work: Work
    ) throws(CheckpointError) {
        self.whole = whole
        self.texts = texts
        let reference = try DequantizeFolder(to: .f32).apply(to: whole)
        let models = try steps.map { (step) throws(CheckpointError) in
            try DequantizeFolder(to: .f32).apply(to: step.checkpoint)
        }
        let tokens = texts.reduce(0) { $0 + $1.corpus.tokenCount } * Double(models.count + (uncut == nil ? 1 : 2))
        let found = try work.run(.judge, tokens: tokens) { (progress) throws(CheckpointError) -> [[Divergence]] in
            var found: [[Divergence]] = []
            for (index, text) in texts.enumerated() {
                found.append(
                    try Divergence.measure(
                        models + [uncut?.checkpoint].compactMap(\.self), reference: reference, corpus: text.corpus,
                        run: run,
                        progress: { [count = texts.count] in progress(index * $1 + $0, count * $1) }))
            }
            return found
        }.result
        func answers(_ checkpoint: Checkpoint) throws(CheckpointError) -> GreedyAnswers {
            let corpus = texts[0].corpus
            return try GreedyAnswers.write(
                checkpoint, corpus: corpus, count: ShrinkSteps.prompts,
                promptLength: min(ShrinkSteps.promptLength, max(1, corpus.contextLength / 2)),
                length: ShrinkSteps.answerLength, run: run)
        }
        wholeAnswers = try answers(reference)
        var measured: [Measured] = []
        for (index, step) in steps.enumerated() {
            measured.append(
                Measured(
                    step: step, divergences: found.map { $0[index] }, answers: try answers(models[index])))
        }
        self.steps = measured
        self.uncut = uncut.map { ($0, found.map { $0[steps.count] }) }
    }

    /// The mean of a value over all judged tokens.
    public static func mean(_ divergences: [Divergence], _ value: (Divergence) -> Double) -> Double {
        let tokens = divergences.reduce(0) { $0 + $1.tokens }
        return divergences.reduce(0) { $0 + value($1) * Double($1.tokens) } / Double(max(1, tokens))
    }

    /// The standard error of the perplexity over all judged tokens; the texts are independent of each other.
    public static func perplexityError(_ divergences: [Divergence], _ value: (Divergence) -> Evaluation) -> Double {
        let squares = divergences.reduce(0) { sum, text in
            let error = value(text).standardError * Double(text.tokens)
            return sum + error * error
        }
        let tokens = divergences.reduce(0) { $0 + $1.tokens }
        return perplexity(divergences, value) * squares.squareRoot() / Double(max(1, tokens))
    }

    /// The perplexity of the output divided by that of the whole model, over all judged tokens.
    public var perplexityRatio: Double {
        guard let last = steps.last else { return .nan }
        let part = ShrinkSteps.perplexity(last.divergences, \.model)
        return part / ShrinkSteps.perplexity(last.divergences, \.reference)
    }

    /// The perplexity over all judged tokens.
    public static func perplexity(_ divergences: [Divergence], _ value: (Divergence) -> Evaluation) -> Double {
        mean(divergences) { value($0).negativeLogLikelihood }.perplexity
    }
}
