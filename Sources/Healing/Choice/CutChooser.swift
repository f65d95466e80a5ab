public import Analysis
public import Checkpoints
public import Surgery

/// Chooses the layers to cut by one of several rules.
public struct CutChooser: Sendable {
    /// How the cut is found.
    public enum Rule: String, Sendable, CaseIterable {
        /// Heals the cuts that several rules propose, and takes the one with the least loss on other text.
        case healed
        /// Leaves each of the closest runs out in a trial, and takes the one that raises the loss least.
        case loss
        /// Takes the closest run.
        case angle
    }

    /// The rule.
    public var rule: Rule
    /// The heal that candidates get before they are compared.
    public var form: ClosedForm
    /// Whether distances are averaged over all tokens, not only over the last one of each context.
    public var overAllTokens = false
    /// Whether the last layer may be cut.
    public var includesLast = false
    /// How many of the closest runs are left out in a trial, by the rule `loss`.
    public var candidates = RunChooser.standardLimit
    /// The number of contexts on which these trials are measured.
    public var lossContexts = RunChooser.standardContexts
    /// The distances, where they were measured before.
    public var similarity: Similarity?

    /// Contexts on which losses of candidates before a heal are measured.
    static let rankingContexts = 2
    /// Contexts that candidates are fitted to before they are compared.
    static let comparisonContexts = 32

    /// A chooser.
    public init(_ rule: Rule, form: ClosedForm = ClosedForm()) {
        self.rule = rule
        self.form = form
    }

    /// Chooses layers of a model whose weights can be run.
    ///
    /// - Parameters:
    ///   - size: how many layers are cut.
    ///   - checkpoint: the whole model, with weights that can be run.
    ///   - text: the text, in parts that share nothing.
    ///   - run: how the model is run.
    ///   - work: receives progress and notes.
    /// - Throws: when the model cannot be run, or no cut of the size is possible.
    public func choose(
        size: Int, in checkpoint: Checkpoint, text: HealingParts, run: RunOptions, work: Work = Work()
    ) throws(CheckpointError) -> CutChoice {
        guard !text.ranking.contexts.isEmpty || (similarity != nil && rule == .angle) else {
            throw CheckpointError(file: text.ranking.path, "has no context to rank the layers on")
        }
        var chooser = RunChooser(checkpoint, run: run, work: work)
        (chooser.limit, chooser.lossContexts) = (candidates, lossContexts)
        guard candidates > 0, lossContexts > 0 else {
            throw CheckpointError("layers are chosen among at least one candidate, on at least one context")
        }
        let distances: Similarity
        if let similarity {
            guard similarity.layers == checkpoint.layerCount else {
                throw CheckpointError(
                    file: checkpoint.path,
                    "has \(checkpoint.layerCount) layers, and the distances are those of \(similarity.layers)")
            }
            distances = similarity
        } else {
            distances = try chooser.similarity(text.ranking, overAllTokens: overAllTokens)
        }
        if rule == .healed {
            let amounts = amounts(size: size, of: checkpoint.layerCount, text: text)
            return .healed(try compare(size, checkpoint, distances, text, run, work, amounts))
        }
        let candidates = try chooser.candidates(
            distances, size: size, overAllTokens: overAllTokens, includesLast: includesLast)
        if rule == .angle { return .angle(candidates[0]) }
        let loss = try chooser.measure(candidates, corpus: text.ranking.prefix(lossContexts))
        guard let best = loss.best else { preconditionFailure("candidates are never empty") }
        return .loss(loss, best: best)
    }

    private func compare(
        _ size: Int, _ checkpoint: Checkpoint, _ similarity: Similarity, _ text: HealingParts, _ run: RunOptions,
        _ work: Work, _ amounts: [WorkAmount]
    ) throws(CheckpointError) -> HealedChoice {
        func tokens(_ phase: WorkPhase) -> Double? { amounts.first { $0.phase == phase }?.tokens }
        let candidates = try work.run(.search, tokens: tokens(.search)) { (progress) throws(CheckpointError) in
            var rules = CutCandidates(includesLast: includesLast, run: run)
            rules.overAllTokens = overAllTokens
            return try rules.find(
                size: size, in: checkpoint, similarity, ranking: text.ranking.prefix(CutChooser.rankingContexts),
                work: work, progress: progress)
        }.result
        guard !candidates.isEmpty else {
            throw CheckpointError(
                file: checkpoint.path, "no cut of \(size) of \(similarity.layers) layers leaves the last layer",
                hint: "--include-last lets a cut include it")
        }
        return try work.run(.compare, tokens: tokens(.compare)) { (progress) throws(CheckpointError) in
            try HealedChoice.measure(
                candidates, of: checkpoint, fitting: text.fitting.prefix(CutChooser.comparisonContexts),
                choosing: text.choosing, form: form, run: run, work: work, progress: progress)
        }.result
    }
}

/// A cut that was chosen, and what it was compared with.
public enum CutChoice: Sendable {
    /// The closest run that can be cut.
    case angle(LayerRun)
    /// The run whose cut raises the loss least.
    case loss(RunLoss, best: LayerRun)
    /// The cut with the least loss after a first heal.
    case healed(HealedChoice)

    /// The layers to cut.
    public var dropped: LayerRuns {
        switch self {
        case .angle(let run): LayerRuns([run.layers])
        case .loss(_, let best): LayerRuns([best.layers])
        case .healed(let choice): choice.best.dropped
        }
    }

    /// The perplexities of the whole model and of the chosen cut without a heal, where they were measured.
    package var perplexities: [(String, Double)] {
        guard case .loss(let loss, let best) = self, let cut = best.loss else { return [] }
        return [("whole", loss.whole.perplexity), ("cut", cut.perplexity)]
    }
}
