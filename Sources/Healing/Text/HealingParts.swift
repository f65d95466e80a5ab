public import Analysis

/// Text for choosing layers and for healing, in parts that share nothing, but that adapters are trained on what is fitted too.
public struct HealingParts: Sendable {
    /// Contexts that rank the layers, that weights are fitted on, that adapters are trained on, and that choose between
    /// candidates.
    public let ranking, fitting, training, choosing: Corpus

    /// Parts that a program has made itself.
    ///
    /// - Parameters:
    ///   - ranking: ranks the layers.
    ///   - fitting: what weights are fitted on; it should share no text with what chooses.
    ///   - training: what adapters are trained on.
    ///   - choosing: what decides whether a change is better, of the same length of context.
    public init(ranking: Corpus, fitting: Corpus, training: Corpus, choosing: Corpus) {
        (self.ranking, self.fitting, self.training, self.choosing) = (ranking, fitting, training, choosing)
    }

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
