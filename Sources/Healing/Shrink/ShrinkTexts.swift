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
        // One text without a heal is read as it is.
        if !shrink.heals, let source = shrink.corpus.first, shrink.corpus.count == 1, source.isOneText {
            parts = HealingParts(ranking: try read(source, shrink.rankingSamples, judges: false))
            let same = try read(source, shrink.evaluationSamples, judges: false)
            judged = shrink.evaluation.isEmpty ? [(source.name, same)] : try given(share)
            notes = []
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
            notes += shrink.evaluation.filter(shrink.corpus.contains).map {
                "\($0.name) is used to fit and to evaluate: its figures are better than those of other text"
            }
        } else {
            // Without builtin text the rest of the given texts judges; nothing was fitted on it.
            let isBuiltin = shrink.corpus.contains(.builtin)
            let kinds = isBuiltin ? text.judging.kinds : text.choosing.kinds
            judged = kinds.map { ($0.name, $0.corpus.prefix(max(1, shrink.evaluationSamples / kinds.count))) }
            if !isBuiltin {
                notes.append(
                    "evaluates on the text that chose the layers; give text that nothing has used with --evaluation")
            }
        }
        self.notes = notes
    }
}
