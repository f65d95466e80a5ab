internal import Analysis
internal import ArgumentParser
internal import Checkpoints
internal import Formats
internal import Healing
internal import Surgery

/// Chooses the layers to cut and heals the cut, for `heal` and `shrink`.
struct CutHealer {
    /// The model, with weights that can be run.
    let checkpoint: Checkpoint
    let text: HealerText
    let options: HealOptions
    let method: ClosedForm.Method?
    let run: RunOptions
    let common: CommonOptions

    /// Contexts on which losses of candidates before a heal are measured.
    private static let rankingContexts = 2
    /// Contexts that candidates are fitted to before they are compared.
    private static let comparisonContexts = 32

    /// A chosen cut, and what its alternatives were.
    struct Choice {
        let dropped: LayerRuns
        /// Members of the JSON output.
        let json: [(String, JSON)]
        /// The table of candidates; `nil` where nothing was compared.
        let table: Table?
    }

    /// Chooses layers.
    func choose(size: Int, overAllTokens: Bool, includesLast: Bool) throws -> Choice {
        let chooser = RunChooser(checkpoint: checkpoint, common: common)
        let similarity = try chooser.similarity(text.ranking, overAllTokens: overAllTokens, run: run)
        switch options.choose ?? (method == nil || method == .magnitude ? .loss : .healed) {
        case .angle:
            let nearest = try chooser.candidates(
                similarity, size: size, overAllTokens: overAllTokens, includesLast: includesLast)[0]
            return Choice(
                dropped: LayerRuns([nearest.layers]), json: [("distance", .double(nearest.distance))], table: nil)
        case .loss:
            let candidates = try chooser.candidates(
                similarity, size: size, overAllTokens: overAllTokens, includesLast: includesLast)
            let loss = try chooser.measure(candidates, corpus: text.ranking.prefix(RunChooser.lossContexts), run: run)
            guard let best = loss.best else { preconditionFailure("candidates are never empty") }
            return Choice(
                dropped: LayerRuns([best.layers]), json: RunReport.json(loss, chosen: best),
                table: RunReport.table(loss))
        case .healed:
            return try chooseHealed(size, similarity, includesLast)
        }
    }

    private func chooseHealed(_ size: Int, _ similarity: Similarity, _ includesLast: Bool) throws -> Choice {
        let search = Progress("search", unit: .layers, quiet: common.quiet)
        let candidates = try CutCandidates(includesLast: includesLast, run: run).find(
            size: size, in: checkpoint, similarity, ranking: text.ranking.prefix(CutHealer.rankingContexts),
            progress: { search.report($0, $1) })
        search.finish()
        guard !candidates.isEmpty else {
            throw CheckpointError(
                file: checkpoint.path, "no cut of \(size) of \(similarity.layers) layers leaves the last layer",
                hint: "--include-last lets a cut include it")
        }
        let progress = Progress("compare", unit: .layers, quiet: common.quiet)
        let choice = try HealedChoice.measure(
            candidates, of: checkpoint, fitting: text.fitting.prefix(CutHealer.comparisonContexts),
            choosing: text.choosing, form: options.form(.bridge), run: run,
            progress: { progress.report($0, $1) })
        progress.finish()
        return Choice(
            dropped: choice.best.dropped, json: HealedChoiceReport.json(choice), table: HealedChoiceReport.table(choice)
        )
    }

    /// Heals a cut; `nil` where the method is none.
    func heal(_ dropped: LayerRuns) throws -> HealReport? {
        guard let method else { return nil }
        let progress = Progress("heal", unit: .layers, quiet: common.quiet)
        let result = try options.form(method).heal(
            checkpoint, dropping: dropped, fitting: text.fitting, choosing: text.choosing, run: run,
            progress: { progress.report($0, $1) })
        progress.finish()
        return HealReport(result, seconds: progress.seconds)
    }
}

/// The text for choosing and healing, in parts that share nothing.
struct HealerText {
    let ranking, fitting, choosing: Corpus

    init(_ text: HealingText) {
        (ranking, fitting, choosing) = (text.ranking.corpus, text.fitting.corpus, text.choosing.corpus)
    }

    /// One text that ranks, where nothing is fitted.
    init(ranking: Corpus) {
        self.ranking = ranking
        (fitting, choosing) = (ranking.prefix(0), ranking.prefix(0))
    }
}

/// The candidates that were compared after a heal.
enum HealedChoiceReport {
    /// A table with a mark at the best.
    static func table(_ choice: HealedChoice) -> Table {
        var table = Table(["layers", "proposed by", "distance", "healed loss", "perplexity", ""])
        table.add(["whole", "", "", choice.wholeLoss.fixed(4), choice.wholeLoss.perplexity.fixed(2), ""])
        for (candidate, loss) in zip(choice.candidates, choice.losses) {
            table.add([
                candidate.dropped.texts.joined(separator: ","), candidate.rule.rawValue, candidate.distance.fixed(4),
                loss.fixed(4), loss.perplexity.fixed(2), candidate == choice.best ? "<" : "",
            ])
        }
        return table
    }

    /// Members of the JSON output.
    static func json(_ choice: HealedChoice) -> [(String, JSON)] {
        let candidates = zip(choice.candidates, choice.losses).map { candidate, loss in
            JSON.object(
                JSONObject([
                    ("layers", .array(candidate.dropped.texts.map(JSON.string))),
                    ("rule", .string(candidate.rule.rawValue)),
                    ("distance", .double(candidate.distance)),
                    ("healedLoss", loss.isFinite ? .double(loss) : .null),
                ]))
        }
        return [
            ("distance", .double(choice.best.distance)), ("wholeLoss", .double(choice.wholeLoss)),
            ("candidates", .array(candidates)),
        ]
    }
}
