import Checkpoints
import Formats
import Surgery
import Testing
import TestSupport
import Analysis

@Suite("perplexity")
struct EvaluationTests {
    private static func corpus(_ samples: Int = 6) throws -> Corpus {
        try Corpus(path: Fixture.path("evaluation.txt"), for: KnownAnalysis.model(), contextLength: 128, limit: samples)
    }

    @Test("the second halves of the contexts against PyTorch")
    func known() throws {
        let known = try KnownAnalysis.object()
        let found = try Evaluation.measure(
            KnownAnalysis.model(), corpus: EvaluationTests.corpus(), run: .init(threads: 2))
        #expect(found.tokens == known["tokens"]?.int)
        let expected = try #require(known["nll"]?.double)
        #expect(abs(found.negativeLogLikelihood - expected) < 1e-5)
    }

    /// `llama-perplexity -m fixture-f32.gguf -f evaluation.txt -c 128 --chunks 6` says `PPL = 30.4017 +/- 4.11657`.
    @Test("the standard error is that of llama-perplexity")
    func standardError() throws {
        let (model, corpus) = (try KnownAnalysis.model(), try EvaluationTests.corpus())
        let found = try Evaluation.measure(model, corpus: corpus, run: .init(threads: 2))
        #expect(abs(found.perplexity - 30.4017) < 1e-3 && abs(found.perplexityError - 4.11657) < 1e-3)
        // The same losses, measured while candidates are compared.
        let loss = try RunLoss.measure(
            [LayerRun(layers: 5..<8, distance: 0)], of: model, corpus: corpus, run: .init(threads: 2))
        #expect(abs(loss.wholeError - found.standardError) < 1e-12 && loss.tokens == 378)
        let cut = try Evaluation.measure(
            CutLayers(layers: 5..<8).apply(to: model), corpus: corpus, run: .init(threads: 2))
        #expect(abs((loss.runs[0].lossError ?? .nan) - cut.standardError) < 1e-12)
    }

    @Test("the mean of losses and its standard error, by hand")
    func sums() {
        var sums = LossSums()
        for loss in [1.0, 2, 3, 6] { sums.add(loss) }
        // The mean of the squares is 12.5, that of the losses 3: the variance is 3.5.
        #expect(sums.mean == 3 && abs(sums.standardError - (3.5 / 3).squareRoot()) < 1e-15)
    }

    @Test("a planned cut against PyTorch, by both ways to measure it")
    func cut() throws {
        let (model, corpus) = (try KnownAnalysis.model(), try EvaluationTests.corpus())
        let expected = try #require(KnownAnalysis.object()["nll_without_5_8"]?.double)
        let runs = [5..<8, 0..<1, 5..<6, 9..<11].map { LayerRun(layers: $0, distance: 0) }
        let loss = try RunLoss.measure(runs, of: model, corpus: corpus, run: .init(threads: 2))
        #expect(loss.runs.map(\.layers) == runs.map(\.layers))
        #expect(abs((loss.runs[0].loss ?? .nan) - expected) < 1e-5)
        for candidate in loss.runs {
            let planned = try CutLayers(layers: candidate.layers).apply(to: model)
            let found = try Evaluation.measure(planned, corpus: corpus, run: .init(threads: 2))
            #expect(abs(found.negativeLogLikelihood - (candidate.loss ?? .nan)) < 1e-12)
        }
        let whole = try Evaluation.measure(model, corpus: corpus, run: .init(threads: 2))
        #expect(abs(loss.whole - whole.negativeLogLikelihood) < 1e-12)
        let best = try #require(loss.best?.loss)
        #expect(loss.runs.allSatisfy { $0.loss ?? 0 >= best })
    }

    @Test("any number of threads gives the same number, and so do more contexts than run at once")
    func threads() throws {
        let corpus = try EvaluationTests.corpus(18)
        let found = try (1...3).map { threads in
            try Evaluation.measure(KnownAnalysis.model(), corpus: corpus, run: .init(threads: threads))
                .negativeLogLikelihood
        }
        #expect(found[0] == found[1] && found[0] == found[2])
        let atOnce = try RunLoss.measure([], of: KnownAnalysis.model(), corpus: corpus, run: .init(threads: 2))
        #expect(abs(atOnce.whole - found[0]) < 1e-12)
    }

    @Test("the tokens behind the middle of a context are scored, each by what is before it")
    func halves() {
        let targets = Evaluation.targets(contexts: [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]])
        #expect(targets.map(\.index) == [3, 4, 9, 10])
        #expect(targets.map(\.token) == [4, 5, 10, 11])
        #expect(Evaluation.targets(contexts: [[0, 1, 2, 3, 4]]).map(\.token) == [3, 4])
        #expect(Evaluation.targets(contexts: [[0, 1, 2]]).map(\.token) == [2])
        #expect(Evaluation.targets(contexts: [[0, 1]]).isEmpty)
    }

    @Test("a context of two tokens has nothing to score")
    func nothingToScore() throws {
        let corpus = try Corpus(
            path: Fixture.path("evaluation.txt"), for: KnownAnalysis.model(), contextLength: 2, limit: 3)
        let error = #expect(throws: CheckpointError.self) {
            try Evaluation.measure(KnownAnalysis.model(), corpus: corpus, run: .init(threads: 1))
        }
        #expect(error?.description.contains("a context of 2 tokens leaves none to score") == true)
    }

    @Test("the beginning token is in front of every context that is scored")
    func beginning() throws {
        var model = try KnownAnalysis.model()
        model.companions = ["tokenizer.json", "tokenizer_config.json"].map { file in
            .init(name: file, contents: Files.read(Fixture.path("tokens/llama-bpe/\(file)")))
        }
        let corpus = try Corpus(path: Fixture.path("evaluation.txt"), for: model, contextLength: 16, limit: 3)
        let beginning = try #require(corpus.contexts.first?.first)
        #expect(corpus.contexts.dropFirst().allSatisfy { $0[0] != beginning })
        #expect(corpus.inputs.allSatisfy { $0[0] == beginning })
        #expect(zip(corpus.inputs, corpus.contexts).allSatisfy { $0.dropFirst() == $1.dropFirst() })
        // The model of the other tests has none.
        let other = try EvaluationTests.corpus(2)
        #expect(other.inputs == other.contexts)
    }
}
