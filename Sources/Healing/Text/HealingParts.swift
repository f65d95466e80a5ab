public import Analysis

/// Text for choosing layers and for healing, in parts that share nothing, but that adapters are trained on what is fitted too.
public struct HealingParts: Sendable {
    /// Contexts that rank the layers, that weights are fitted on, that adapters are trained on, and that choose between
    /// candidates.
    public let ranking, fitting, training, choosing: Corpus

    /// The parts of a text that was split.
    public init(_ text: HealingText) {
        (ranking, fitting, choosing) = (text.ranking.corpus, text.fitting.corpus, text.choosing.corpus)
        training = text.training.corpus
    }

    /// One text that ranks, where nothing is fitted.
    public init(ranking: Corpus) {
        self.ranking = ranking
        (fitting, training, choosing) = (ranking.prefix(0), ranking.prefix(0), ranking.prefix(0))
    }
}
