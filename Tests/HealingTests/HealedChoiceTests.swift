import Analysis
import Checkpoints
import Healing
import Surgery
import TestSupport
import Testing

@Suite("the choice of a cut after healing")
struct HealedChoiceTests {
    private static func model() throws -> Checkpoint { try Checkpoint.open(Fixture.model) }

    private static func corpus(_ name: String, _ samples: Int) throws -> Corpus {
        try Corpus(path: Fixture.path(name), for: model(), contextLength: 64, limit: samples)
    }

    @Test("the loss of several runs together is that of the model without them")
    func severalRuns() throws {
        let run = RunOptions(threads: 2), text = try HealedChoiceTests.corpus("evaluation.txt", 3)
        let cuts = [[0..<1], [3..<4, 6..<8], [1..<2, 4..<5, 9..<11], [3..<5]].map { LayerRuns($0) }
        let losses = try CutLoss.measure(cuts, of: HealedChoiceTests.model(), corpus: text, run: run)
        for (dropped, loss) in zip(cuts, losses) {
            let cut = try CutLayers(layers: dropped).apply(to: HealedChoiceTests.model())
            let expected = try Evaluation.measure(cut, corpus: text, run: run).negativeLogLikelihood
            #expect(abs(loss - expected) < 1e-12, "\(dropped.words)")
        }
    }

    @Test("every rule proposes, nothing is proposed twice, and the last layer stays")
    func candidates() throws {
        let model = try HealedChoiceTests.model(), run = RunOptions(threads: 2)
        let text = try HealedChoiceTests.corpus("calibration.txt", 4)
        let similarity = try Similarity.measure(model, corpus: text, overAllTokens: false, run: run)
        var rules = CutCandidates(run: run)
        rules.nearest = 3
        let found = try rules.find(size: 3, in: model, similarity, ranking: text.prefix(1))
        #expect(found.filter { $0.rule == .angle }.count == 3)
        #expect(found.filter { $0.rule == .twoRuns }.count == 2)
        #expect(found.filter { $0.rule == .twoRuns }.allSatisfy { $0.dropped.runs.count == 2 })
        for candidate in found {
            #expect(candidate.dropped.count == 3)
            #expect(!candidate.dropped.contains(model.layerCount - 1))
            #expect(found.filter { $0.dropped == candidate.dropped }.count == 1)
        }
        // The greedy cut was proposed, by its own rule or by an earlier one: each of its steps is the best of all.
        let singles = (0..<model.layerCount - 1).map { LayerRuns([$0..<$0 + 1]) }
        let losses = try CutLoss.measure(singles, of: model, corpus: text.prefix(1), run: run)
        let first = try #require(losses.indices.min { losses[$0] < losses[$1] })
        #expect(found.contains { $0.dropped.contains(first) })
    }

    @Test("the distances over all tokens propose where they are asked for")
    func overAllTokens() throws {
        let model = try HealedChoiceTests.model(), count = model.layerCount + 1
        // The layers lie on a line; the run of one layer that starts at 2 is short for last tokens, that at 7 for all.
        func table(_ short: Int) -> [[Double]] {
            let places = (0..<count).map { $0 > short ? Double($0) - 0.9 : Double($0) }
            return places.map { first in places.map { abs($0 - first) / 20 } }
        }
        let similarity = Similarity(
            layers: model.layerCount, samples: 1, context: 64, last: table(2), all: table(7))
        var rules = CutCandidates(run: RunOptions(threads: 2))
        let text = try HealedChoiceTests.corpus("calibration.txt", 1)
        let last = try rules.find(size: 1, in: model, similarity, ranking: text)
        rules.overAllTokens = true
        let all = try rules.find(size: 1, in: model, similarity, ranking: text)
        #expect(last.first?.dropped == LayerRuns([2..<3]) && all.first?.dropped == LayerRuns([7..<8]))
        #expect(all.first.map { abs($0.distance - 0.1 / 20) < 1e-12 } == true)
    }

    @Test("layers cannot be chosen by nothing")
    func noText() throws {
        let text = try HealedChoiceTests.corpus("calibration.txt", 1)
        for rule in CutChooser.Rule.allCases {
            #expect(throws: CheckpointError.self) {
                try CutChooser(rule).choose(
                    size: 1, in: HealedChoiceTests.model(), text: HealingParts(ranking: text.prefix(0)),
                    run: RunOptions(threads: 2))
            }
        }
    }

    @Test("the losses are those of the models that the same heal makes, and the least wins")
    func measured() throws {
        let model = try HealedChoiceTests.model(), run = RunOptions(threads: 2)
        let fitting = try HealedChoiceTests.corpus("calibration.txt", 8)
        let choosing = try HealedChoiceTests.corpus("evaluation.txt", 3)
        let cuts = [[5..<7], [2..<3, 7..<8], [1..<3]].map { LayerRuns($0) }
        let candidates = cuts.map { CutCandidate(dropped: $0, rule: .angle, distance: 0) }
        let choice = try HealedChoice.measure(
            candidates, of: model, fitting: fitting, choosing: choosing, form: ClosedForm(), run: run)
        for (dropped, loss) in zip(cuts, choice.losses) {
            let result = try ClosedForm(method: .bridge).heal(
                model, dropping: dropped, fitting: fitting, choosing: choosing, run: run)
            #expect(result.healedLoss == loss)
        }
        let least = try #require(choice.losses.min())
        #expect(choice.losses[choice.candidates.firstIndex(of: choice.best) ?? 0] == least)
        let whole = try Evaluation.measure(model, corpus: choosing, run: run).negativeLogLikelihood
        #expect(abs(choice.wholeLoss - whole) < 1e-9)
    }
}
