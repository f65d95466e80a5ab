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

    /// Compares a model, which may be a planned edit that nobody has written, with a reference.
    ///
    /// Both run over a few contexts at a time, and logits are never in memory as a whole. The result does not depend on the
    /// number of threads.
    ///
    /// - Throws: when one of the models cannot be run or computes NaN or infinity, when their vocabularies differ, or when
    ///   the divergence is infinite.
    public static func measure(
        _ checkpoint: Checkpoint, reference: Checkpoint, corpus: Corpus, run: RunOptions,
        progress: (@Sendable (_ done: Int, _ total: Int) -> Void)? = nil
    ) throws(CheckpointError) -> Divergence {
        try Evaluation.checkScored(corpus)
        let models = [try DecoderModel(reference), try DecoderModel(checkpoint)]
        let vocabulary = try sharedVocabulary(models[1], models[0])
        let contexts = corpus.inputs
        let layers = models.reduce(1) { $0 + $1.plan.layers.count }
        let groups = (contexts.count + Evaluation.contextsAtOnce - 1) / Evaluation.contextsAtOnce
        var sums = Sums()
        var done = 0
        func step() {
            done += 1
            progress?(done, groups * layers)
        }
        for group in 0..<groups {
            let places =
                group * Evaluation.contextsAtOnce..<min(contexts.count, (group + 1) * Evaluation.contextsAtOnce)
            var passes: [ForwardPass] = []
            for model in models {
                let pass = try ForwardPass(
                    model, contexts: Array(contexts[places]), precision: run.decoderPrecision, threads: run.threads,
                    observer: FiniteStates(
                        model, contextLength: corpus.contextLength, firstContext: places.lowerBound))
                while pass.layer < model.plan.layers.count {
                    try pass.advance()
                    step()
                }
                passes.append(pass)
            }
            let targets = Evaluation.targets(contexts: Array(corpus.contexts[places]))
            let found = try passes[1].divergences(
                from: passes[0], of: targets, vocabulary: vocabulary, threads: run.threads)
            for (target, token) in zip(targets, found) {
                try check(token, of: checkpoint, reference) {
                    "token \(target.index % corpus.contextLength) of context "
                        + "\(places.lowerBound + target.index / corpus.contextLength)"
                }
                sums.add(token)
            }
            step()
        }
        return sums.result(vocabulary: vocabulary)
    }

    /// Refuses what is not finite.
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

/// What is added up over tokens, in their order.
private struct Sums {
    private var count = 0
    private var loss = 0.0, referenceLoss = 0.0
    private var divergence = 0.0, squares = 0.0
    private var agreements = 0

    mutating func add(_ token: TokenDivergence) {
        count += 1
        loss += token.loss
        referenceLoss += token.referenceLoss
        divergence += token.divergence
        squares += token.divergence * token.divergence
        agreements += token.agrees ? 1 : 0
    }

    func result(vocabulary: Int) -> Divergence {
        let total = Double(count)
        let mean = divergence / total
        let variance = max(0, squares / total - mean * mean)
        return Divergence(
            model: Evaluation(tokens: count, negativeLogLikelihood: loss / total),
            reference: Evaluation(tokens: count, negativeLogLikelihood: referenceLoss / total), klDivergence: mean,
            standardError: count > 1 ? (variance / (total - 1)).squareRoot() : 0,
            topOneAgreement: Double(agreements) / total, vocabulary: vocabulary)
    }
}
