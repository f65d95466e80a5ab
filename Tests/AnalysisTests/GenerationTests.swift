import Analysis
import Checkpoints
import Decoder
import Formats
import Surgery
import Testing
import TestSupport

@Suite("texts that a model continues")
struct GenerationTests {
    private static let prompt = "And it came to pass, that"

    private static func run(
        _ model: Checkpoint, _ prompt: String = prompt, _ options: Generation.Options = .init(), threads: Int = 2
    ) throws -> Generation {
        try Generation.run(model, prompt: prompt, options: options, run: .init(threads: threads))
    }

    @Test("the pieces together are the text, and every number of threads gives the same")
    func pieces() throws {
        let model = try KnownAnalysis.model()
        var options = Generation.Options()
        options.tokens = 20
        var pieces: [String] = []
        let found = try Generation.run(
            model, prompt: GenerationTests.prompt, options: options, run: .init(threads: 2)
        ) { pieces.append($0) }
        #expect(pieces.joined() == found.text && pieces.count > 10)
        #expect(found.tokens.count == 20 && found.ending == .limit && found.promptCount > 5)
        options.temperature = 0.9
        options.seed = 3
        let sampled = try (1...3).map { try GenerationTests.run(model, threads: $0, options) }
        #expect(sampled[0].tokens == sampled[1].tokens && sampled[0].tokens == sampled[2].tokens)
        #expect(sampled[0].tokens != found.tokens)
    }

    private static func run(_ model: Checkpoint, threads: Int, _ options: Generation.Options) throws -> Generation {
        try run(model, prompt, options, threads: threads)
    }

    @Test("a token that ends a text is not a part of it")
    func ending() throws {
        var model = try KnownAnalysis.model()
        let whole = try GenerationTests.run(model)
        let last = try #require(whole.tokens.dropFirst(5).first { !whole.tokens.prefix(5).contains($0) })
        let place = try #require(whole.tokens.firstIndex(of: last))
        model.config?["eos_token_id"] = .array([.int(0), .int(Int(last))])
        let found = try GenerationTests.run(model)
        #expect(found.ending == .end && found.tokens == Array(whole.tokens.prefix(place)))
        #expect(whole.text.hasPrefix(found.text))
    }

    /// Converters often write no key for a token that ends a turn; llama.cpp goes by its text.
    @Test("in GGUF a token is known to end a turn by its text")
    func endingByText() throws {
        var model = try Convert(to: .gguf).apply(to: KnownAnalysis.model())
        let found = try GenerationTests.run(model)
        let first = Int(try #require(found.tokens.first))
        var tokens = (model.metadata["tokenizer.ggml.tokens"]?.array ?? []).compactMap(\.string)
        let merges = (model.metadata["tokenizer.ggml.merges"]?.array ?? []).compactMap(\.string).filter { merge in
            let parts = merge.split(separator: " ").map { String($0) }
            return !(parts + [parts.joined()]).contains(tokens[first])
        }
        tokens[first] = "<|end|>"
        model.metadata["tokenizer.ggml.merges"] = .strings(merges)
        model.metadata["tokenizer.ggml.tokens"] = .strings(tokens)
        let ended = try GenerationTests.run(model)
        #expect(ended.ending == .end && ended.tokens.isEmpty)
    }

    @Test("an empty prompt begins with the beginning token, and is refused without one")
    func empty() throws {
        var model = try KnownAnalysis.model()
        let empty = try GenerationTests.run(model, "")
        #expect(empty.promptCount == 1)
        #expect(try GenerationTests.run(model, "<|endoftext|>").tokens == empty.tokens)
        model.config?["bos_token_id"] = nil
        model.companions.removeAll { $0.name == "tokenizer_config.json" }
        let error = #expect(throws: CheckpointError.self) { try GenerationTests.run(model, "") }
        #expect(error?.description.contains("has no token that begins a text, and the prompt is empty") == true)
    }

    @Test("a token that is put behind every text does not end a prompt")
    func endOfPrompt() throws {
        var model = try Convert(to: .gguf).apply(to: KnownAnalysis.model())
        let plain = try GenerationTests.run(model)
        model.metadata["tokenizer.ggml.add_eos_token"] = .bool(true)
        let found = try GenerationTests.run(model)
        #expect(found.promptCount == plain.promptCount && found.tokens == plain.tokens)
    }

    @Test("answers to prompts of a corpus, which are continued together")
    func answers() throws {
        let model = try KnownAnalysis.model()
        let corpus = try Corpus(path: Fixture.path("evaluation.txt"), for: model, contextLength: 64, limit: 12)
        let whole = try GreedyAnswers.write(
            model, corpus: corpus, count: 4, promptLength: 48, length: 10, run: .init(threads: 2))
        #expect(whole.answers.count == 4 && whole.answers.allSatisfy { $0.tokens.count == 10 })
        // The second prompt is the beginning of context 3.
        let pass = try IncrementalPass(DecoderModel(model), threads: 2)
        var (sampler, tokens) = (Sampler(), [Int32]())
        try pass.append([Array(corpus.contexts[3].prefix(48))])
        while tokens.count < 10 {
            tokens.append(sampler.next(pass.logits()))
            try pass.append([[tokens[tokens.count - 1]]])
        }
        #expect(whole.answers[1].tokens == tokens)
        #expect(!whole.answers[1].prompt.isEmpty && !whole.answers[1].text.isEmpty)
        #expect(whole.agreement(with: whole) == 1)
        let cut = try GreedyAnswers.write(
            CutLayers(layers: 5..<8).apply(to: model), corpus: corpus, count: 4, promptLength: 48, length: 10,
            run: .init(threads: 1))
        let agreement = cut.agreement(with: whole)
        let same = zip(whole.answers, cut.answers).flatMap { zip($0.tokens, $1.tokens) }.filter { $0 == $1 }.count
        #expect(agreement == Double(same) / 40 && agreement < 1)
        // A corpus of fewer contexts gives fewer answers.
        let few = try GreedyAnswers.write(model, corpus: corpus.prefix(2), length: 1, run: .init(threads: 2))
        #expect(few.answers.count == 2)
    }
}
