public import Analysis

/// Text for choosing layers and for healing, in parts that share nothing.
public struct HealingParts: Sendable {
    /// Contexts that rank the layers, that weights are fitted on, and that choose between candidates.
    public let ranking, fitting, choosing: Corpus

    /// The parts of a text that was split.
    public init(_ text: HealingText) {
        (ranking, fitting, choosing) = (text.ranking.corpus, text.fitting.corpus, text.choosing.corpus)
    }

    /// One text that ranks, where nothing is fitted.
    public init(ranking: Corpus) {
        self.ranking = ranking
        (fitting, choosing) = (ranking.prefix(0), ranking.prefix(0))
    }
}
