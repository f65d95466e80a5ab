import Analysis
import Checkpoints
import Formats
import Healing
import Surgery
import TestSupport
import Testing
import Weights

@Suite("a heal in closed form")
struct ClosedFormTests {
    private static func model() throws -> Checkpoint { try Checkpoint.open(Fixture.model) }

    private static func corpus(_ name: String, _ samples: Int, context: Int = 64) throws -> Corpus {
        try Corpus(path: Fixture.path(name), for: model(), contextLength: context, limit: samples)
    }

    private static func healed(
        _ dropped: LayerRuns, _ form: ClosedForm = ClosedForm(), samples: Int = 120, choosing: Int = 8, threads: Int = 2
    ) throws -> (result: ClosedForm.Result, model: Checkpoint) {
        let result = try form.heal(
            model(), dropping: dropped, fitting: corpus("calibration.txt", samples),
            choosing: choosing > 0 ? corpus("evaluation.txt", choosing) : nil, run: RunOptions(threads: threads))
        let healed = try model().applying([result.weights.edit, CutLayers(layers: dropped)])
        return (result, healed)
    }

    private static func values(_ result: ClosedForm.Result) throws -> [[UInt32]] {
        try result.weights.tensors.map { try $0.floats().map(\.bitPattern) }
    }

    @Test("lowers the loss on text that was not fitted, for one gap, two gaps and a gap at either end")
    func lowersLoss() throws {
        let count = try ClosedFormTests.model().layerCount
        let cuts = [[4..<6], [2..<3, 6..<7], [0..<1], [count - 1..<count]].map { LayerRuns($0) }
        for dropped in cuts {
            let (result, healed) = try ClosedFormTests.healed(dropped)
            let text = try ClosedFormTests.corpus("evaluation.txt", 8)
            let run = RunOptions(threads: 2)
            let cut = try ClosedFormTests.model().applying([CutLayers(layers: dropped)])
            let before = try Evaluation.measure(cut, corpus: text, run: run).negativeLogLikelihood
            let after = try Evaluation.measure(healed, corpus: text, run: run).negativeLogLikelihood
            #expect(abs((result.cutLoss ?? .nan) - before) < 1e-9)
            #expect(after < before, "\(dropped.words)")
            // What the walk itself computed is the loss of the model that it makes, up to the rounding to the weights' type.
            #expect(abs((result.healedLoss ?? .nan) - after) < 1e-2)
            let whole = try Evaluation.measure(ClosedFormTests.model(), corpus: text, run: run).negativeLogLikelihood
            #expect(abs((result.wholeLoss ?? .nan) - whole) < 1e-9)
        }
    }

    @Test("a bridge changes one weight, the MLP before the gap; a refit two layers before it and those behind it")
    func methods() throws {
        let dropped = LayerRuns([4..<6])
        let bridge = try ClosedFormTests.healed(dropped, ClosedForm(method: .bridge)).result
        #expect(bridge.weights.changes.map(\.layer) == [3])
        #expect(bridge.weights.changes.first?.name == "model.layers.3.mlp.down_proj.weight")
        let count = try ClosedFormTests.model().layerCount
        let refit = try ClosedFormTests.healed(dropped, ClosedForm(method: .refit)).result
        #expect(refit.weights.changes.map(\.layer) == ([2, 3] + (6..<count)).flatMap { [$0, $0] })
    }

    @Test("magnitude divides the output products behind the gap by one factor")
    func magnitude() throws {
        let model = try ClosedFormTests.model()
        let (result, _) = try ClosedFormTests.healed(LayerRuns([4..<6]), ClosedForm(method: .magnitude), choosing: 0)
        var factors: Set<Float> = []
        for tensor in result.weights.tensors {
            let old = try #require(model.tensors.first { $0.name == tensor.name }).floats()
            let ratio = try zip(tensor.floats(), old).first { $1 != 0 }.map { $0 / $1 }
            factors.insert(((ratio ?? 0) * 1e4).rounded())
        }
        #expect(result.weights.tensors.count == 2 * (model.layerCount - 6))
        #expect(factors.count == 1 && (factors.first ?? 0) > 0)
    }

    @Test("magnitude stays where it lowers the loss on other text, and is left out where it does not")
    func judgedMagnitude() throws {
        for dropped in [[4..<6], [8..<10]].map({ LayerRuns($0) }) {
            let (result, healed) = try ClosedFormTests.healed(dropped, ClosedForm(method: .magnitude))
            let text = try ClosedFormTests.corpus("evaluation.txt", 8), run = RunOptions(threads: 2)
            let cut = try ClosedFormTests.model().applying([CutLayers(layers: dropped)])
            let before = try Evaluation.measure(cut, corpus: text, run: run).negativeLogLikelihood
            let after = try Evaluation.measure(healed, corpus: text, run: run).negativeLogLikelihood
            #expect(abs((result.cutLoss ?? .nan) - before) < 1e-9)
            #expect(abs((result.healedLoss ?? .nan) - after) < 1e-2)
            #expect(try #require(result.healedLoss) <= #require(result.cutLoss))
            let isRejected = result.weights.changes.allSatisfy(\.isRejected)
            #expect(isRejected == result.weights.tensors.isEmpty && isRejected == (result.healedLoss == result.cutLoss))
        }
    }

    @Test("a weight whose inputs are all zero stays as it was")
    func zeroInputs() throws {
        var model = try ClosedFormTests.model()
        let index = try #require(model.tensors.firstIndex { $0.name == "model.layers.7.self_attn.v_proj.weight" })
        let old = model.tensors[index]
        model.tensors[index] = Tensor(name: old.name, dtype: old.dtype, shape: old.shape, recipe: .computed(ZeroRows()))
        let result = try ClosedForm().heal(
            model, dropping: LayerRuns([4..<6]), fitting: ClosedFormTests.corpus("calibration.txt", 40),
            choosing: ClosedFormTests.corpus("evaluation.txt", 4), run: RunOptions(threads: 2))
        let change = try #require(result.weights.changes.first { $0.name == "model.layers.7.self_attn.o_proj.weight" })
        #expect(change.isRejected && change.gain == 0)
        #expect(!result.weights.tensors.isEmpty)
    }

    @Test("every number of threads gives the same bits, and states in a file the same as in memory")
    func sameBits() throws {
        let dropped = LayerRuns([3..<5])
        let first = try ClosedFormTests.values(ClosedFormTests.healed(dropped, samples: 30, choosing: 0).result)
        #expect(!first.isEmpty)
        for threads in [1, 3] {
            #expect(
                try ClosedFormTests.values(
                    ClosedFormTests.healed(dropped, samples: 30, choosing: 0, threads: threads).result)
                    == first)
        }
        let spilled = ClosedForm(memoryByteCount: 1 << 10)
        #expect(
            try ClosedFormTests.values(ClosedFormTests.healed(dropped, spilled, samples: 30, choosing: 0).result)
                == first)
    }

    @Test("a layer that gains nothing on the text that chooses stays as it was")
    func rejects() throws {
        // Fitted on a single context, most weights are worse elsewhere.
        let result = try ClosedFormTests.healed(LayerRuns([4..<6]), samples: 1, choosing: 8).result
        let rejected = result.weights.changes.filter(\.isRejected)
        #expect(!rejected.isEmpty)
        #expect(rejected.allSatisfy { ($0.gain ?? 1) <= 0 })
        let names = Set(result.weights.tensors.map(\.name))
        #expect(rejected.allSatisfy { !names.contains($0.name) })
    }

    @Test("the edit refuses a model without the weight, or with one of another shape")
    func edit() throws {
        let weights = try ClosedFormTests.healed(LayerRuns([4..<6]), ClosedForm(method: .bridge), choosing: 0).result
            .weights
        var other = try ClosedFormTests.model()
        other.tensors.removeAll { $0.name == "model.layers.3.mlp.down_proj.weight" }
        #expect(throws: CheckpointError.self) { try weights.edit.apply(to: other) }
    }
}

private struct ZeroRows: RowSource {
    var description: String { "zeros" }

    func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        output.initializeMemory(as: UInt8.self, repeating: 0)
    }
}
