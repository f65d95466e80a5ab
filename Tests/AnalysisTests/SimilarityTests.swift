import Analysis
import Checkpoints
import Formats
import Testing
import TestSupport

@Suite("distances between layers")
struct SimilarityTests {
    private static func corpus(_ samples: Int) throws -> Corpus {
        try Corpus(
            path: Fixture.path("calibration.txt"), for: KnownAnalysis.model(), contextLength: 128, limit: samples)
    }

    @Test("last tokens and all tokens against a plain computation", arguments: [1, 3])
    func known(threads: Int) throws {
        let known = try KnownAnalysis.object()
        let similarity = try Similarity.measure(
            KnownAnalysis.model(), corpus: SimilarityTests.corpus(4), overAllTokens: true, run: .init(threads: threads))
        #expect(similarity.layers == 12 && similarity.samples == 4 && similarity.context == 128)
        for (found, expected) in [(similarity.last, known["last"]?.table), (similarity.all ?? [], known["all"]?.table)]
        {
            let expected = try #require(expected)
            try #require(found.count == 13 && expected.count == 13)
            for (a, b) in zip(found.joined(), expected.joined()) { #expect(abs(a - b) < 1e-5) }
        }
    }

    @Test("the last tokens alone give the same, and no table of all")
    func lastAlone() throws {
        let corpus = try SimilarityTests.corpus(2)
        let both = try Similarity.measure(
            KnownAnalysis.model(), corpus: corpus, overAllTokens: true, run: .init(threads: 2))
        let last = try Similarity.measure(
            KnownAnalysis.model(), corpus: corpus, overAllTokens: false, run: .init(threads: 2))
        #expect(last.last == both.last)
        #expect(last.all == nil && both.all != nil)
    }

    @Test("every context begins with BOS where the model has one")
    func beginning() throws {
        let corpus = try SimilarityTests.corpus(2), tokens = Array(corpus.contexts.joined())
        let replaced = Array(corpus.contexts.map { [5] + $0.dropFirst() }.joined())
        func measured(_ tokens: [Int32], _ beginning: Int32?) throws -> Similarity {
            try Similarity.measure(
                KnownAnalysis.model(), corpus: Corpus(tokens: tokens, contextLength: 128, beginning: beginning),
                overAllTokens: true, run: .init(threads: 2))
        }
        #expect(try measured(tokens, 5) == measured(replaced, nil))
        #expect(try measured(tokens, 5) != measured(tokens, nil))
    }

    /// Measures a model in all three ways, each of which must refuse it with these words.
    private static func expectRefusal(_ model: Checkpoint, _ corpus: Corpus, _ words: String) {
        let errors = [
            #expect(throws: CheckpointError.self) {
                try Similarity.measure(model, corpus: corpus, overAllTokens: true, run: .init(threads: 2))
            },
            #expect(throws: CheckpointError.self) {
                try Evaluation.measure(model, corpus: corpus, run: .init(threads: 2))
            },
            #expect(throws: CheckpointError.self) {
                try RunLoss.measure(
                    [LayerRun(layers: 0..<1, distance: 0)], of: model, corpus: corpus, run: .init(threads: 2))
            },
        ]
        for error in errors { #expect(error?.description.contains(words) == true, "\(error?.description ?? "")") }
    }

    @Test("a layer that gives NaN or infinity is named", arguments: [Float.nan, .infinity])
    func brokenLayer(value: Float) throws {
        var model = try KnownAnalysis.model()
        let index = try #require(model.tensors.firstIndex { $0.name == "model.layers.3.input_layernorm.weight" })
        model.tensors[index] = Tensor(
            name: model.tensors[index].name, dtype: .f32, shape: [256],
            recipe: .computed(Given(values: Array(repeating: value, count: 256))))
        try SimilarityTests.expectRefusal(
            model, SimilarityTests.corpus(1), "layer 3 computes NaN or infinity, first for token 0 of context 0")
    }

    @Test("a token whose embedding is NaN is named")
    func brokenToken() throws {
        var model = try KnownAnalysis.model()
        let corpus = try SimilarityTests.corpus(20)
        // A token of context 18 that no context before it has.
        let earlier = Set(corpus.contexts.prefix(18).joined())
        let token = try #require(corpus.contexts[18].firstIndex { !earlier.contains($0) })
        let index = try #require(model.tensors.firstIndex { $0.name == "model.embed_tokens.weight" })
        model.tensors[index].recipe = .computed(
            SpoiledRow(source: model.tensors[index], row: Int(corpus.contexts[18][token])))
        SimilarityTests.expectRefusal(
            model, corpus, "the embedding computes NaN or infinity, first for token \(token) of context 18")
    }
}

/// The rows of a BF16 tensor, one of them NaN.
private struct SpoiledRow: RowSource {
    let source: Tensor
    let row: Int

    var description: String { "\(source.recipe), row \(row) spoiled" }

    func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        try source.withBytes(rows: rows) { output.copyMemory(from: $0) }
        guard rows.contains(row) else { return }
        let size = source.rowByteCount
        for byte in (row - rows.lowerBound) * size..<(row - rows.lowerBound + 1) * size { output[byte] = 0xFF }
    }
}

@Suite("the choice of a run")
struct RunSelectionTests {
    /// Distances by the first and the last layer of a run; the others are large.
    private static func similarity(_ layers: Int, _ near: [(Range<Int>, Double)], all: [(Range<Int>, Double)]? = nil)
        -> Similarity
    {
        func table(_ near: [(Range<Int>, Double)]) -> [[Double]] {
            var table = Array(repeating: Array(repeating: 0.9, count: layers + 1), count: layers + 1)
            for (run, distance) in near {
                table[run.lowerBound][run.upperBound] = distance
                table[run.upperBound][run.lowerBound] = distance
            }
            return table
        }
        return Similarity(layers: layers, samples: 1, context: 2, last: table(near), all: all.map(table))
    }

    @Test("the nearest run of a size is first")
    func nearest() {
        let similarity = RunSelectionTests.similarity(6, [(1..<3, 0.3), (2..<4, 0.1), (3..<5, 0.2)])
        #expect(similarity.nearestRuns(size: 2).map(\.layers) == [2..<4, 3..<5, 1..<3, 0..<2])
        #expect(similarity.nearestRuns(size: 2).map(\.distance) == [0.1, 0.2, 0.3, 0.9])
        #expect(similarity.nearestRuns(size: 2).allSatisfy { $0.loss == nil })
    }

    @Test("the last layer stays unless it is asked for")
    func lastLayer() {
        let similarity = RunSelectionTests.similarity(6, [(4..<6, 0.1)])
        #expect(similarity.nearestRuns(size: 2).map(\.layers) == [0..<2, 1..<3, 2..<4, 3..<5])
        #expect(similarity.nearestRuns(size: 2, includesLast: true).first?.layers == 4..<6)
        #expect(similarity.nearestRuns(size: 5).map(\.layers) == [0..<5])
        #expect(similarity.nearestRuns(size: 5, includesLast: true).map(\.layers) == [0..<5, 1..<6])
    }

    @Test("among equals the first is taken")
    func ties() {
        let similarity = RunSelectionTests.similarity(5, [(3..<4, 0.2), (1..<2, 0.2), (2..<3, 0.2)])
        #expect(similarity.nearestRuns(size: 1).map(\.layers) == [1..<2, 2..<3, 3..<4, 0..<1])
    }

    @Test("the mean over all tokens decides where it is asked for and there")
    func allTokens() {
        let similarity = RunSelectionTests.similarity(5, [(1..<2, 0.2)], all: [(2..<3, 0.2)])
        #expect(similarity.nearestRuns(size: 1).first?.layers == 1..<2)
        #expect(similarity.nearestRuns(size: 1, overAllTokens: true).first?.layers == 2..<3)
        let lastOnly = RunSelectionTests.similarity(5, [(1..<2, 0.2)])
        #expect(lastOnly.nearestRuns(size: 1, overAllTokens: true).first?.layers == 1..<2)
    }

    @Test("sizes that leave nothing, or take nothing, have no run", arguments: [-1, 0, 6, 7, Int.max])
    func sizes(size: Int) {
        #expect(RunSelectionTests.similarity(6, []).nearestRuns(size: size, includesLast: true).isEmpty)
        #expect(SimpleRun.layers(size: size, of: 6) == nil)
    }

    @Test("every size has a run", arguments: [0, 1, 2, 5])
    func chosen(layers: Int) {
        let similarity = RunSelectionTests.similarity(layers, [])
        #expect(
            similarity.nearestRunOfEachSize().map(\.layers.count) == Array(1..<max(layers, 1)).filter { $0 < layers })
        #expect(similarity.nearestRunOfEachSize(includesLast: true).allSatisfy { $0.layers.lowerBound == 0 })
    }

    /// Runs of two of six layers, nearest first 2..<4, 3..<5, 1..<3, 0..<2, of which only some can be cut.
    private static func candidates(_ allowed: [Range<Int>], limit: Int = 5) throws -> RunCandidates? {
        let similarity = RunSelectionTests.similarity(6, [(1..<3, 0.3), (2..<4, 0.1), (3..<5, 0.2)])
        return try similarity.candidates(size: 2, limit: limit) { (layers) throws(CheckpointError) in
            if !allowed.contains(layers) { throw CheckpointError("\(layers) stays") }
        }
    }

    @Test("candidates are the nearest runs that can be cut")
    func possible() throws {
        let all = [0..<2, 1..<3, 2..<4, 3..<5]
        #expect(try RunSelectionTests.candidates(all)?.runs.map(\.layers) == [2..<4, 3..<5, 1..<3, 0..<2])
        #expect(try RunSelectionTests.candidates(all, limit: 2)?.runs.map(\.layers) == [2..<4, 3..<5])
        let some = try RunSelectionTests.candidates([0..<2, 3..<5])
        #expect(some?.runs.map(\.layers) == [3..<5, 0..<2] && some?.nearest.layers == 2..<4)
        let error = #expect(throws: CheckpointError.self) { try RunSelectionTests.candidates([]) }
        #expect(error?.description.contains("\(2..<4) stays") == true)
        #expect(try RunSelectionTests.similarity(6, []).candidates(size: 6) { _ in } == nil)
    }

    @Test("without data the deepest layers but the last go")
    func simple() {
        #expect(SimpleRun.layers(size: 8, of: 32) == 23..<31)
        #expect(SimpleRun.layers(size: 31, of: 32) == 0..<31)
        #expect(SimpleRun.layers(size: 1, of: 1) == nil)
        #expect(SimpleRun.layers(size: 1, of: 0) == nil)
    }
}
