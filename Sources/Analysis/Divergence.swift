public import Checkpoints
internal import Decoder

#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// How far the predictions of a model are from those of a reference on a text, as `llama-perplexity --kl-divergence`
/// measures it: over the same contexts and tokens as `Evaluation`.
///
/// The models may differ in depth, type and container, but must have the same vocabulary.
public struct Divergence: Sendable {
    /// How the model predicts the text.
    public let model: Evaluation
    /// How the reference predicts it.
    public let reference: Evaluation
    /// The mean over all tokens of KL(reference || model), in nats: the sum of `p (log p - log q)` over the vocabulary, with
    /// the reference's probabilities p and the model's q.
    public let klDivergence: Double
    /// The standard error of that mean.
    public let standardError: Double
    /// The share of tokens for which both models find the same token most likely.
    public let topOneAgreement: Double
    /// How many tokens of the vocabulary were compared: all that both models have.
    public let vocabulary: Int

    /// How many tokens were scored.
    public var tokens: Int { model.tokens }
    /// The model's perplexity divided by the reference's.
    public var perplexityRatio: Double { exp(model.negativeLogLikelihood - reference.negativeLogLikelihood) }
    /// The standard error of that ratio, from the differences of the losses token by token.
    public let perplexityRatioError: Double

    /// Compares a model, which may be an edit that has not been written, with a reference.
    ///
    /// - Throws: when one of the models cannot be run or computes NaN or infinity, when their vocabularies differ, or when
    ///   the divergence is infinite.
    public static func measure(
        _ checkpoint: Checkpoint, reference: Checkpoint, corpus: Corpus, run: RunOptions,
        progress: (@Sendable (_ done: Int, _ total: Int) -> Void)? = nil
    ) throws(CheckpointError) -> Divergence {
        try measure([checkpoint], reference: reference, corpus: corpus, run: run, progress: progress)[0]
    }

    /// Compares several models with a reference, which is run once for all of them.
    ///
    /// The models run over a few contexts at a time, and logits are never in memory as a whole. The results do not depend on
    /// the number of threads.
    public static func measure(
        _ checkpoints: [Checkpoint], reference: Checkpoint, corpus: Corpus, run: RunOptions,
        progress: (@Sendable (_ done: Int, _ total: Int) -> Void)? = nil
    ) throws(CheckpointError) -> [Divergence] {
        try Evaluation.checkScored(corpus)
        let whole = try DecoderModel(reference)
        var models: [(model: DecoderModel, vocabulary: Int, sums: Sums)] = []
        for checkpoint in checkpoints {
            let model = try DecoderModel(checkpoint)
            models.append((model, try sharedVocabulary(model, whole), Sums()))
        }
        let contexts = corpus.inputs
        let layers = whole.plan.layers.count + models.reduce(0) { $0 + $1.model.plan.layers.count + 1 }
        let contextsAtOnce = Evaluation.contextsAtOnce(whole, corpus)
        let groups = (contexts.count + contextsAtOnce - 1) / contextsAtOnce
        var done = 0
        func step() {
            done += 1
            progress?(done, groups * layers)
        }
        for group in 0..<groups {
            let first = group * contextsAtOnce
            let places = first..<min(contexts.count, first + contextsAtOnce)
            func pass(_ model: DecoderModel) throws(CheckpointError) -> ForwardPass {
                let pass = try ForwardPass(
                    model, contexts: Array(contexts[places]), precision: run.decoderPrecision, threads: run.threads,
                    observer: FiniteStates(model, contextLength: corpus.contextLength, firstContext: first))
                while pass.layer < model.plan.layers.count {
                    try pass.advance()
                    step()
                }
                return pass
            }
            let expected = try pass(whole)
            let targets = Evaluation.targets(contexts: Array(corpus.contexts[places]))
            for index in models.indices {
                let found = try pass(models[index].model).divergences(
                    from: expected, of: targets, vocabulary: models[index].vocabulary, threads: run.threads)
                for (target, token) in zip(targets, found) {
                    try check(token, of: checkpoints[index], reference) {
                        "token \(target.index % corpus.contextLength) of context "
                            + "\(first + target.index / corpus.contextLength)"
                    }
                    models[index].sums.add(token)
                }
                step()
            }
        }
        for checkpoint in [reference] + checkpoints { try checkpoint.checkUnchanged() }
        return models.map { $0.sums.result(vocabulary: $0.vocabulary) }
    }

    /// Throws when a loss or the divergence is not finite.
    private static func check(
        _ token: TokenDivergence, of checkpoint: Checkpoint, _ reference: Checkpoint, _ place: () -> String
    ) throws(CheckpointError) {
        for (loss, model) in [(token.referenceLoss, reference), (token.loss, checkpoint)] where !loss.isFinite {
            throw CheckpointError(
                file: model.path, "the logits are NaN or infinite, first for \(place())",
                hint: "a weight is NaN or infinite, or the values leave the range of f32")
        }
        guard token.divergence.isFinite else {
            throw CheckpointError(
                file: checkpoint.path, "the KL divergence from \(reference.path) is infinite, first for \(place())")
        }
    }

    /// The number of rows of both output matrices, once their tokens are known to be the same.
    private static func sharedVocabulary(
        _ model: DecoderModel, _ reference: DecoderModel
    ) throws(CheckpointError) -> Int {
        let rows = min(model.vocabularyCount, reference.vocabularyCount)
        let (ours, theirs) = (try Vocabulary(of: model.checkpoint), try Vocabulary(of: reference.checkpoint))
        if let difference = ours.difference(from: theirs) {
            throw CheckpointError(
                file: model.checkpoint.path, "has another vocabulary than \(reference.checkpoint.path): \(difference)",
                hint: "only models with the same tokens can be compared")
        }
        let tokens = max(ours.usedCount, theirs.usedCount)
        guard rows >= tokens else {
            let short = model.vocabularyCount == rows ? model : reference
            throw CheckpointError(
                file: short.checkpoint.path,
                "the output matrix has \(rows.grouped) rows; the vocabulary has \(tokens.grouped) tokens")
        }
        return rows
    }
}

/// Sums over tokens, in their order.
private struct Sums {
    private var loss = LossSums(), referenceLoss = LossSums(), difference = LossSums(), divergence = LossSums()
    private var agreements = 0

    mutating func add(_ token: TokenDivergence) {
        loss.add(token.loss)
        referenceLoss.add(token.referenceLoss)
        difference.add(token.loss - token.referenceLoss)
        divergence.add(token.divergence)
        agreements += token.agrees ? 1 : 0
    }

    func result(vocabulary: Int) -> Divergence {
        let model = loss.evaluation
        return Divergence(
            model: model, reference: referenceLoss.evaluation, klDivergence: divergence.mean,
            standardError: divergence.standardError, topOneAgreement: Double(agreements) / Double(model.tokens),
            vocabulary: vocabulary, perplexityRatioError: exp(difference.mean) * difference.standardError)
    }
}
