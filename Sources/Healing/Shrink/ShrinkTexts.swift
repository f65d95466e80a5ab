public import Analysis
internal import Checkpoints

/// The texts of a run of `Shrink`.
public struct ShrinkTexts: Sendable {
    /// Text for choosing the layers and for healing.
    public let parts: HealingParts
    /// Text that only judges, by kind.
    public let judged: [(name: String, corpus: Corpus)]
    /// What the user should know about the texts, one sentence each.
    public let notes: [String]

    /// Reads the texts.
    init(_ shrink: Shrink, _ checkpoint: Checkpoint) throws(CheckpointError) {
        let context = shrink.contextLength
        func read(_ source: TextSource, _ limit: Int, judges: Bool) throws(CheckpointError) -> Corpus {
            try Corpus([source], for: checkpoint, contextLength: context, limit: limit, judges: judges)
        }
        func given(_ limit: Int) throws(CheckpointError) -> [(name: String, corpus: Corpus)] {
            try shrink.evaluation.map { (source) throws(CheckpointError) in
                (source.name, try read(source, limit, judges: true))
            }
        }
        let share = max(1, shrink.evaluationSamples / max(1, shrink.evaluation.count))
        // One text without a heal is read as it is: its first contexts rank, and those behind them judge.
        if !shrink.heals, let source = shrink.corpus.first, shrink.corpus.count == 1, source.isOneText {
            let wanted = shrink.evaluation.isEmpty ? shrink.evaluationSamples : 0
            let (all, isTooMany) = shrink.rankingSamples.addingReportingOverflow(wanted)
            let text = try read(source, isTooMany ? .max : all, judges: false)
            let rest = text.dropFirst(shrink.rankingSamples)
            parts = HealingParts(ranking: text.prefix(shrink.rankingSamples))
            if !shrink.evaluation.isEmpty {
                (judged, notes) = (try given(share), ShrinkTexts.used(shrink))
            } else if rest.contexts.isEmpty {
                (judged, notes) = ([(source.name, text.prefix(wanted))], [ShrinkTexts.chosen])
            } else {
                (judged, notes) = ([(source.name, rest)], [])
            }
            try ShrinkTexts.check(judged)
            return
        }
        var sizes = HealingText.Sizes(fitting: shrink.healSamples)
        sizes.ranking = shrink.rankingSamples
        if let trainer = shrink.trainer {
            sizes.training = trainer.contextCount(removed: shrink.drop, of: checkpoint.layerCount)
        }
        sizes.judging = shrink.evaluation.isEmpty ? shrink.evaluationSamples : 0
        let text = try HealingText(
            sources: shrink.corpus, for: checkpoint, contextLength: context, sizes: sizes, seed: shrink.seed)
        parts = HealingParts(text)
        var notes = text.notes
        if !shrink.evaluation.isEmpty {
            judged = try given(share)
            notes += ShrinkTexts.used(shrink)
        } else {
            // Without builtin text the part that chooses judges; nothing was fitted on it.
            let isBuiltin = shrink.corpus.contains(.builtin)
            let kinds = isBuiltin ? text.judging.kinds : text.choosing.kinds
            judged = kinds.map { ($0.name, $0.corpus.prefix(max(1, shrink.evaluationSamples / kinds.count))) }
            // Without a heal nothing is chosen on it.
            if !isBuiltin, shrink.heals { notes.append(ShrinkTexts.chosen) }
            let short = TextSource.builtinKinds(judging: true).filter { name in !kinds.contains { $0.name == name } }
            if isBuiltin, !short.isEmpty {
                notes.append("does not judge on \(short.joined(separator: ", ")): shorter than a context")
            }
        }
        try ShrinkTexts.check(judged)
        self.notes = notes
    }

    private static let chosen =
        "evaluates on the text that chose the layers; give text that nothing has used with --evaluation"

    /// A note for every text that is used to fit and to evaluate.
    private static func used(_ shrink: Shrink) -> [String] {
        shrink.evaluation.filter { text in shrink.corpus.contains(where: text.shares) }.map {
            "\($0.name) is used to \(shrink.heals ? "fit" : "choose") and to evaluate: its figures are better than "
                + "those of other text"
        }
    }

    /// Refuses texts on which nothing can be judged, before the slow steps.
    private static func check(_ judged: [(name: String, corpus: Corpus)]) throws(CheckpointError) {
        guard let first = judged.first else {
            throw CheckpointError(
                "no text that judges fills a context",
                hint: "take a smaller --context, or a longer text with --evaluation")
        }
        try Evaluation.checkScored(first.corpus)
    }
}
