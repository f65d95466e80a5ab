import Analysis
import Checkpoints
import Formats
import Healing
import Surgery
import TestSupport
import Testing

/// What a program gives that a command line could not: it is refused by an error and not by a trap, before the slow work.
@Suite("values that programs may not give")
struct RefusedValueTests {
    private static let run = RunOptions(threads: 2)

    private static func model() throws -> Checkpoint { try Checkpoint.open(Fixture.model) }

    private static func text(context: Int = 64, limit: Int = 2) throws -> Corpus {
        try Corpus(path: Fixture.path("evaluation.txt"), for: model(), contextLength: context, limit: limit)
    }

    private static func expect(
        _ message: String, _ body: () throws -> Void, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let error = #expect(throws: CheckpointError.self, sourceLocation: sourceLocation) { try body() }
        #expect(error?.description.contains(message) == true, "\(error as Any)", sourceLocation: sourceLocation)
    }

    @Test("numbers of a training")
    func training() throws {
        let changes: [(String, (inout TrainingSettings) -> Void)] = [
            ("rank 0", { $0.rank = 0 }), ("alpha 0.0", { $0.alpha = 0 }), ("rate nan", { $0.rate = .nan }),
            ("batch 0", { $0.batch = 0 }), ("steps -1", { $0.steps = -1 }), ("warmup -1", { $0.warmup = -1 }),
            ("dropout 1.0", { $0.dropout = 1 }), ("classes 0", { $0.classes = 0 }),
            ("evaluation 0", { $0.evaluation = 0 }), ("patience 0", { $0.patience = 0 }),
            ("clipping 0.0", { $0.clipping = 0 }), ("divergence 1.0", { $0.divergence = 1 }),
            ("weightDecay -1.0", { $0.weightDecay = -1 }), ("names a product twice", { $0.targets = [.up, .up] }),
        ]
        #expect(throws: Never.self) { try TrainingSettings().check() }
        for (message, change) in changes {
            var settings = TrainingSettings()
            change(&settings)
            RefusedValueTests.expect(message) {
                _ = try LoRATraining(settings).planned(RefusedValueTests.model(), threads: 1)
            }
        }
    }

    @Test("layers that are not there, and none")
    func layers() throws {
        let (model, text, run) = (try RefusedValueTests.model(), try RefusedValueTests.text(), RefusedValueTests.run)
        RefusedValueTests.expect("are no run of its 12") {
            _ = try RunLoss.measure([LayerRun(layers: 3..<40, distance: 0)], of: model, corpus: text, run: run)
        }
        RefusedValueTests.expect("are no run of its 12") {
            _ = try RunLoss.measure([LayerRun(layers: 3..<3, distance: 0)], of: model, corpus: text, run: run)
        }
        RefusedValueTests.expect("12:14 are out of range") {
            _ = try CutLoss.measure([LayerRuns([12..<14])], of: model, corpus: text, run: run)
        }
        RefusedValueTests.expect("names no layer") {
            _ = try CutLoss.measure([LayerRuns()], of: model, corpus: text, run: run)
        }
        for dropped in [LayerRuns(), LayerRuns([0..<12]), LayerRuns([11..<13])] {
            RefusedValueTests.expect("layers") {
                _ = try ClosedForm().heal(model, dropping: dropped, fitting: text, choosing: nil, run: run)
            }
        }
    }

    @Test("texts of other lengths, and empty ones")
    func texts() throws {
        let (model, text, run) = (try RefusedValueTests.model(), try RefusedValueTests.text(), RefusedValueTests.run)
        let (empty, other) = (text.prefix(-1), try RefusedValueTests.text(context: 32))
        #expect(empty.contexts.isEmpty)
        let dropped = LayerRuns([4..<6])
        RefusedValueTests.expect("has contexts of 32 tokens, and the text for fitting of 64") {
            _ = try ClosedForm().heal(model, dropping: dropped, fitting: text, choosing: other, run: run)
        }
        RefusedValueTests.expect("no context to fit to") {
            _ = try ClosedForm().heal(model, dropping: dropped, fitting: empty, choosing: nil, run: run)
        }
        RefusedValueTests.expect("no context to score") {
            _ = try Divergence.measure(model, reference: model, corpus: empty, run: run)
        }
        RefusedValueTests.expect("no context to measure") {
            _ = try Similarity.measure(model, corpus: empty, overAllTokens: false, run: run)
        }
        RefusedValueTests.expect("no context to take a prompt from") {
            _ = try GreedyAnswers.write(model, corpus: empty, run: run)
        }
        RefusedValueTests.expect("1 to 256 prompts") {
            _ = try GreedyAnswers.write(model, corpus: text, count: 0, run: run)
        }
    }

    @Test("choices of a next token")
    func sampling() throws {
        let changes: [(String, (inout Generation.Options) -> Void)] = [
            ("temperature of -1.0", { $0.temperature = -1 }), ("temperature of nan", { $0.temperature = .nan }),
            ("the 0 most likely", { $0.topK = 0 }), ("probability of 0.0", { $0.topP = 0 }),
        ]
        for (message, change) in changes {
            var options = Generation.Options()
            change(&options)
            RefusedValueTests.expect(message) {
                _ = try Generation.run(
                    RefusedValueTests.model(), prompt: "a", options: options, run: RefusedValueTests.run)
            }
        }
    }

    @Test("steps of shrink in another order, distances of another model, two ways to make shards")
    func order() throws {
        let model = try RefusedValueTests.model()
        let shrink = Shrink(drop: 2, corpus: [.builtin], run: RefusedValueTests.run)
        var steps = try ShrinkRun(shrink, model, to: "x.gguf")
        RefusedValueTests.expect("the texts are read before layers are chosen") { _ = try steps.choose() }
        RefusedValueTests.expect("the layers are chosen before they are cut") { _ = try steps.output() }
        RefusedValueTests.expect("the shards are kept, or made by size") {
            _ = try OutputPlan(model, shardByteCount: 1 << 20, keepsShards: true)
        }
        let text = try RefusedValueTests.text()
        var chooser = CutChooser(.angle)
        chooser.similarity = try Similarity.measure(
            CutLayers(layers: 4..<6).apply(to: model), corpus: text, overAllTokens: false, run: RefusedValueTests.run)
        RefusedValueTests.expect("has 12 layers, and the distances are those of 10") {
            _ = try chooser.choose(
                size: 2, in: model, text: HealingParts(ranking: text), run: RefusedValueTests.run)
        }
    }

    @Test("weights of few bits are not rounded again without consent")
    func rounding() throws {
        let quantized = try RefusedValueTests.model().applying([Convert(to: .folder), QuantizeFolder(.w4a16)])
        RefusedValueTests.expect("is already quantized") { _ = try QuantizeFolder(.nf4).apply(to: quantized) }
        var settings = FolderQuantizationSettings()
        settings.allowsRequantize = true
        #expect(throws: Never.self) { try QuantizeFolder(.nf4, settings: settings).apply(to: quantized) }
    }

    @Test("without a heal the layers are chosen by measured losses")
    func unhealed() throws {
        let folder = TemporaryFolder()
        var shrink = Shrink(drop: 2, corpus: [.path(Fixture.path("calibration.txt"))], run: RefusedValueTests.run)
        (shrink.form, shrink.contextLength, shrink.rankingSamples, shrink.evaluationSamples) = (nil, 64, 2, 2)
        let result = try shrink.run(RefusedValueTests.model(), to: folder("small.gguf"))
        guard case .loss = result.choice else {
            Issue.record("\(result.choice)")
            return
        }
        #expect(result.written.layerCount == 10)
    }
}
