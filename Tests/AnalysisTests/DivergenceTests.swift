import Analysis
import Checkpoints
import Formats
import Surgery
import Testing
import TestSupport
import Weights

@Suite("divergence from a reference")
struct DivergenceTests {
    private static func corpus(_ samples: Int = 6) throws -> Corpus {
        try Corpus(path: Fixture.path("evaluation.txt"), for: KnownAnalysis.model(), contextLength: 128, limit: samples)
    }

    @Test("a planned cut against PyTorch")
    func known() throws {
        let known = try KnownAnalysis.object()
        let expected = try #require(known["divergence_without_5_8"])
        let model = try KnownAnalysis.model()
        let cut = try CutLayers(layers: 5..<8).apply(to: model)
        let found = try Divergence.measure(
            cut, reference: model, corpus: DivergenceTests.corpus(), run: .init(threads: 2))
        func expect(_ value: Double, _ known: JSON?, _ tolerance: Double) throws {
            let known = try #require(known?.double)
            #expect(abs(value - known) < tolerance, "\(value), PyTorch \(known)")
        }
        try expect(found.klDivergence, expected["mean"], 1e-6)
        try expect(found.standardError, expected["error"], 1e-6)
        try expect(found.topOneAgreement, expected["agreement"], 1e-9)
        try expect(found.model.negativeLogLikelihood, known["nll_without_5_8"], 1e-5)
        try expect(found.reference.negativeLogLikelihood, known["nll"], 1e-5)
        #expect(found.tokens == 378 && found.vocabulary == 2048)
        // What llama-perplexity --kl-divergence says of both GGUF files in f32, as `PPL(Q)/PPL(base)` and for each alone.
        #expect(abs(found.perplexityRatio - 1.150818) < 1e-3 && abs(found.perplexityRatioError - 0.035161) < 1e-3)
        #expect(abs(found.model.perplexityError - 4.572320) < 1e-3)
        #expect(abs(found.reference.perplexityError - 4.116579) < 1e-3)
    }

    @Test("the losses are those that are measured for each model alone")
    func losses() throws {
        let (model, corpus) = (try KnownAnalysis.model(), try DivergenceTests.corpus(3))
        let cut = try CutLayers(layers: 3..<6).apply(to: model)
        let found = try Divergence.measure(cut, reference: model, corpus: corpus, run: .init(threads: 2))
        let alone = try [cut, model].map { try Evaluation.measure($0, corpus: corpus, run: .init(threads: 2)) }
        #expect(abs(found.model.negativeLogLikelihood - alone[0].negativeLogLikelihood) < 1e-12)
        #expect(abs(found.reference.negativeLogLikelihood - alone[1].negativeLogLikelihood) < 1e-12)
        #expect(abs(found.perplexityRatio - alone[0].perplexity / alone[1].perplexity) < 1e-9)
        // It is a divergence, not a distance.
        let back = try Divergence.measure(model, reference: cut, corpus: corpus, run: .init(threads: 2))
        #expect(back.topOneAgreement == found.topOneAgreement && back.klDivergence != found.klDivergence)
    }

    @Test("the same weights have no divergence, in another container too")
    func same() throws {
        let model = try KnownAnalysis.model()
        let gguf = try Convert(to: .gguf).apply(to: model)
        // GGUF has the elements of a head in another order, so that sums are rounded otherwise.
        for (a, b, limit) in [(model, model, 1e-12), (gguf, model, 1e-7), (model, gguf, 1e-7)] {
            let found = try Divergence.measure(
                a, reference: b, corpus: DivergenceTests.corpus(2), run: .init(threads: 2))
            #expect(found.klDivergence < limit && found.topOneAgreement == 1)
            #expect(abs(found.perplexityRatio - 1) < 1e-6)
        }
    }

    @Test("any number of threads gives the same bits, and so do more contexts than run at once")
    func threads() throws {
        let model = try KnownAnalysis.model()
        let cut = try CutLayers(layers: 5..<8).apply(to: model)
        let corpus = try DivergenceTests.corpus(18)
        let found = try (1...3).map { threads in
            try Divergence.measure(cut, reference: model, corpus: corpus, run: .init(threads: threads))
        }
        for other in found.dropFirst() {
            #expect(other.klDivergence == found[0].klDivergence && other.standardError == found[0].standardError)
            #expect(other.perplexityRatio == found[0].perplexityRatio)
        }
        let few = try Divergence.measure(cut, reference: model, corpus: corpus.prefix(16), run: .init(threads: 2))
        #expect(few.tokens == 16 * 63 && found[0].tokens == 18 * 63)
    }

    @Test("several models at once have the figures that each has alone")
    func several() throws {
        let (model, corpus) = (try KnownAnalysis.model(), try DivergenceTests.corpus(3))
        let cuts = try [5..<8, 1..<3].map { try CutLayers(layers: $0).apply(to: model) }
        let found = try Divergence.measure(cuts, reference: model, corpus: corpus, run: .init(threads: 2))
        #expect(found.count == 2)
        for (cut, together) in zip(cuts, found) {
            let alone = try Divergence.measure(cut, reference: model, corpus: corpus, run: .init(threads: 2))
            #expect(together.klDivergence == alone.klDivergence && together.standardError == alone.standardError)
            #expect(together.perplexityRatio == alone.perplexityRatio && together.tokens == alone.tokens)
        }
    }

    @Test("rows of padding behind the vocabulary are left out")
    func padding() throws {
        let model = try KnownAnalysis.model()
        var padded = model
        let index = try #require(model.tensors.firstIndex { $0.name == "model.embed_tokens.weight" })
        let values = try model.tensors[index].floats() + Array(repeating: 3, count: 16 * 256)
        padded.tensors[index] = Tensor(
            name: "model.embed_tokens.weight", dtype: .f32, shape: [2064, 256], recipe: .computed(Given(values: values))
        )
        padded.config?["vocab_size"] = .int(2064)
        let cut = try CutLayers(layers: 5..<8).apply(to: model)
        let corpus = try DivergenceTests.corpus(2)
        let plain = try Divergence.measure(cut, reference: model, corpus: corpus, run: .init(threads: 2))
        let found = try Divergence.measure(cut, reference: padded, corpus: corpus, run: .init(threads: 2))
        #expect(found.vocabulary == 2048 && abs(found.klDivergence - plain.klDivergence) < 1e-9)
    }

    private static func expectRefusal(
        _ model: Checkpoint, _ reference: Checkpoint, _ words: String, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let error = #expect(throws: CheckpointError.self, sourceLocation: sourceLocation) {
            try Divergence.measure(model, reference: reference, corpus: corpus(1), run: .init(threads: 2))
        }
        #expect(
            error?.description.contains(words) == true, "\(error?.description ?? "")", sourceLocation: sourceLocation)
    }

    /// The fixture with a text of its tokenizer.json replaced.
    private static func model(replacing old: String, with new: String) throws -> Checkpoint {
        var model = try KnownAnalysis.model()
        let index = try #require(model.companions.firstIndex { $0.name == "tokenizer.json" })
        let text = String(decoding: model.companions[index].contents, as: UTF8.self)
        let changed = text.split(separator: old, maxSplits: 1, omittingEmptySubsequences: false)
        try #require(changed.count == 2)
        model.companions[index] = .init(name: "tokenizer.json", contents: Array((changed[0] + new + changed[1]).utf8))
        return model
    }

    @Test("another vocabulary is refused with the first difference")
    func vocabularies() throws {
        let model = try KnownAnalysis.model()
        let renamed = try DivergenceTests.model(replacing: "\"Ġthe\"", with: "\"Ġzzz\"")
        try DivergenceTests.expectRefusal(model, renamed, "has another vocabulary than \(model.path): token")
        var begun = try Convert(to: .gguf).apply(to: model)
        begun.metadata["tokenizer.ggml.add_bos_token"] = .bool(true)
        try DivergenceTests.expectRefusal(
            model, begun, "a text begins with no token, there it begins with token 0")
    }

    @Test("logits that are NaN are refused with their token", arguments: [false, true])
    func broken(isReference: Bool) throws {
        let model = try KnownAnalysis.model()
        var broken = model
        let index = try #require(model.tensors.firstIndex { $0.name == "model.norm.weight" })
        broken.tensors[index] = Tensor(
            name: "model.norm.weight", dtype: .f32, shape: [256],
            recipe: .computed(Given(values: Array(repeating: .nan, count: 256))))
        try DivergenceTests.expectRefusal(
            isReference ? model : broken, isReference ? broken : model,
            "the logits are NaN or infinite, first for token 64 of context 0")
    }
}
