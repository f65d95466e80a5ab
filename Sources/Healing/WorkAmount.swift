internal import Analysis
internal import Checkpoints
internal import Surgery

/// How much work a phase is, before it begins: for the tokens per second, and for the time that all phases have left.
public struct WorkAmount: Sendable, Equatable {
    /// The phase.
    public let phase: WorkPhase
    /// Tokens that are run through all layers of the model; a part of the layers counts as that part. 0 where none is run.
    public let tokens: Double
    /// How long the phase takes, in tokens that are run through all layers. An estimate.
    public let cost: Double

    /// An amount of work.
    ///
    /// - Parameter factor: how much longer a token takes than in a plain run.
    init(_ phase: WorkPhase, tokens: Double, factor: Double = 1) {
        (self.phase, self.tokens, cost) = (phase, tokens, tokens * factor)
    }

    /// Work that runs no model.
    init(_ phase: WorkPhase, cost: Double) { (self.phase, tokens, self.cost) = (phase, 0, cost) }

    /// Writing an output takes about as long as running so many tokens: both grow with the number of weights.
    public static let write = WorkAmount(.write, cost: 300), pack = WorkAmount(.pack, cost: 300)
}

extension Corpus {
    /// How many tokens there are.
    var tokenCount: Double { Double(contexts.count * contextLength) }
}

extension CutChooser {
    /// The phases of a choice.
    ///
    /// - Parameters:
    ///   - size: how many layers are cut.
    ///   - layers: how many the model has.
    ///   - text: the texts that the choice reads.
    public func amounts(size: Int, of layers: Int, text: HealingParts) -> [WorkAmount] {
        let distances = similarity == nil ? [WorkAmount(.analyze, tokens: text.ranking.tokenCount)] : []
        let share = Double(layers - size) / Double(max(1, layers))
        switch rule {
        case .angle: return distances
        case .loss:
            let runs = Double(min(candidates, max(1, layers - size)))
            let tokens = text.ranking.prefix(lossContexts).tokenCount
            return distances + [WorkAmount(.measure, tokens: tokens * (1 + runs * share / 2))]
        case .healed:
            let ranked = text.ranking.prefix(CutChooser.rankingContexts).tokenCount
            let fitted = text.fitting.prefix(CutChooser.comparisonContexts).tokenCount + text.choosing.tokenCount
            let greedy = size > 1 ? Double(layers) / 2 + Double(8 * (size - 1)) : 0
            return distances + [
                WorkAmount(.search, tokens: ranked * (1 + Double(layers - size) * share / 2 + greedy)),
                WorkAmount(.compare, tokens: fitted * (1 + CutChooser.usualCandidates * share), factor: 1.3),
            ]
        }
    }

    /// How many cuts the rules propose, about.
    private static let usualCandidates = 8.0
}

extension ClosedForm {
    /// The heal of a cut.
    public func amount(_ text: HealingParts) -> WorkAmount {
        WorkAmount(.heal, tokens: text.fitting.tokenCount + text.choosing.tokenCount, factor: 3)
    }
}

extension AdapterTrainer {
    /// The phases of a training.
    ///
    /// - Parameters:
    ///   - share: the share of the layers that is removed.
    ///   - text: the texts that it reads.
    public func amounts(removed share: Double, text: HealingParts) -> [WorkAmount] {
        let settings = settings(share)
        let tokens = Double(settings.steps) * Double(settings.batch) * Double(text.training.contextLength)
        return [
            WorkAmount(.teach, tokens: text.training.tokenCount + text.choosing.tokenCount),
            WorkAmount(.train, tokens: tokens, factor: 3),
        ]
    }
}

extension ShrinkRun {
    /// The phases of the whole run, in order, once the texts are read.
    ///
    /// - Parameters:
    ///   - writes: whether an output is written and compared with the whole model.
    ///   - packs: whether a patch is written.
    public func amounts(writes: Bool = true, packs: Bool = false) -> [WorkAmount] {
        guard let texts else { return [] }
        let (layers, parts) = (runnable.layerCount, texts.parts)
        var amounts = settings.chooser.amounts(size: settings.drop, of: layers, text: parts)
        if let form = settings.form { amounts.append(form.amount(parts)) }
        guard writes else { return amounts }
        if let trainer = settings.trainer {
            amounts += trainer.amounts(removed: Double(settings.drop) / Double(max(1, layers)), text: parts)
        }
        // The whole model, that in the bytes of the output, the cut, and what comes after it.
        let models = 3 + (settings.form == nil ? 0 : 1) + (settings.trainer == nil ? 0 : 1)
        let tokens = texts.judged.reduce(0) { $0 + $1.corpus.tokenCount }
        amounts += [.write, WorkAmount(.judge, tokens: Double(models) * tokens, factor: 1.5)]
        return packs ? amounts + [.pack] : amounts
    }
}
