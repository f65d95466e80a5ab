import Checkpoints
import Decoder
import Formats
import ModelSupport
import Testing
import TestSupport

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

@Suite("tokens one after the other")
struct IncrementalPassTests {
    /// The tokens that transformers adds to prompts, fixtures/states/greedy.json.
    private static func known(_ name: String) throws -> [(prompt: [Int32], added: [Int32])] {
        let text = String(decoding: Files.read(Fixture.path("states/greedy.json")), as: UTF8.self)
        func ids(_ value: JSON?) -> [Int32] { (value?.array ?? []).map { Int32($0.int ?? -1) } }
        return (try JSON.parse(text)[name]?.array ?? []).map { (ids($0["prompt"]), ids($0["added"])) }
    }

    private static func tokens(_ count: Int, vocabulary: Int32, seed: UInt64 = 5) -> [Int32] {
        var random = SeededGenerator(seed: seed)
        return (0..<count).map { _ in Int32.random(in: 0..<vocabulary, using: &random) }
    }

    private static func logits(_ pass: IncrementalPass, of sequence: Int = 0) -> [Float] {
        Array(pass.logits(of: sequence))
    }

    /// The negative log-likelihood of a token.
    private static func loss(_ logits: [Float], _ token: Int32) -> Double {
        let highest = Double(logits.max() ?? 0)
        let sum = logits.reduce(0.0) { $0 + exp(Double($1) - highest) }
        return highest + log(sum) - Double(logits[Int(token)])
    }

    private static func close(_ a: [Float], _ b: [Float]) -> Bool {
        a.count == b.count && zip(a, b).allSatisfy { abs($0 - $1) < 1e-3 }
    }

    @Test("the most likely tokens are those that transformers generates", arguments: KnownStates.models)
    func greedy(name: String) throws {
        let model = try DecoderModel(KnownStates.checkpoint(name))
        let cases = try IncrementalPassTests.known(name)
        #expect(cases.count > 1)
        for (prompt, added) in cases {
            #expect(added.count == 40)
            let pass = IncrementalPass(model, threads: 2)
            var sampler = Sampler()
            var tokens: [Int32] = []
            var next = prompt
            while tokens.count < added.count {
                try pass.append([next])
                next = [sampler.next(pass.logits())]
                tokens += next
            }
            #expect(tokens == added)
        }
    }

    @Test("a prompt of several batches has the losses of a whole pass, and so has each token after it")
    func wholePass() throws {
        let tokens = IncrementalPassTests.tokens(300, vocabulary: 2048)
        let model = try DecoderModel(KnownStates.checkpoint("kjv-7m"))
        let whole = try ForwardPass(model, contexts: [tokens], precision: .f32, threads: 2)
        while whole.layer < 12 { try whole.advance() }
        let losses = try whole.allLosses([tokens])
        let pass = IncrementalPass(model, threads: 2)
        try pass.append([Array(tokens.prefix(280))])
        for index in 280..<300 {
            #expect(pass.count == index)
            let found = IncrementalPassTests.loss(IncrementalPassTests.logits(pass), tokens[index])
            #expect(abs(found - losses[index - 1]) < 1e-3)
            try pass.append([[tokens[index]]])
        }
    }

    @Test("a prompt token by token gives the logits of the prompt at once", arguments: KnownStates.models)
    func tokenByToken(name: String) throws {
        let model = try DecoderModel(KnownStates.checkpoint(name))
        let tokens = IncrementalPassTests.tokens(70, vocabulary: 64)
        let (whole, steps) = (IncrementalPass(model, threads: 2), IncrementalPass(model, threads: 2))
        try whole.append([tokens], room: 400)
        // Without room for all of them, so that the memory grows on the way.
        for token in tokens { try steps.append([[token]]) }
        #expect(whole.count == 70 && steps.count == 70)
        #expect(IncrementalPassTests.close(IncrementalPassTests.logits(whole), IncrementalPassTests.logits(steps)))
    }

    /// transformers takes the long factors once a text is longer than the original context, then for all of its tokens.
    @Test("LongRoPE's factors follow the length of the text, whatever room there is")
    func longRoPE() throws {
        func model(_ long: String) throws -> DecoderModel {
            let rope =
                #"{"rope_type": "longrope", "rope_theta": 10000.0, "original_max_position_embeddings": 16, "short_factor": [1.0, 1.5, 2.0, 3.0], "long_factor": \#(long)}"#
            return try DecoderModel(
                RandomModels.folder(
                    "Phi3ForCausalLM", #"{"original_max_position_embeddings": 16, "rope_parameters": \#(rope)}"#))
        }
        let found = try model("[4.0, 5.0, 6.0, 8.0]"), same = try model("[1.0, 1.5, 2.0, 3.0]")
        let tokens = IncrementalPassTests.tokens(25, vocabulary: 64)
        func loss(_ model: DecoderModel, _ count: Int) throws -> Double {
            let pass = try ForwardPass(model, contexts: [Array(tokens.prefix(count))], precision: .f32, threads: 2)
            while pass.layer < model.plan.layers.count { try pass.advance() }
            return try pass.losses(of: [(index: count - 1, token: tokens[count])], threads: 2)[0]
        }
        let pass = IncrementalPass(found, threads: 2)
        try pass.append([Array(tokens.prefix(9))], room: 400)
        for count in 9..<25 {
            let expected = try loss(found, count)
            let next = IncrementalPassTests.loss(IncrementalPassTests.logits(pass), tokens[count])
            #expect(abs(next - expected) < 1e-3, "behind \(count) tokens")
            #expect((abs(try loss(same, count) - expected) > 1e-3) == (count > 16))
            try pass.append([[tokens[count]]])
        }
        #expect(pass.count == 25)
    }

    @Test("sequences that run together do not see each other", arguments: KnownStates.models)
    func together(name: String) throws {
        let model = try DecoderModel(KnownStates.checkpoint(name))
        let sequences = (1...3).map { IncrementalPassTests.tokens(40, vocabulary: 64, seed: $0) }
        let together = IncrementalPass(model, sequences: 3, threads: 2)
        try together.append(sequences.map { Array($0.prefix(33)) })
        for index in 33..<40 { try together.append(sequences.map { [$0[index]] }) }
        for (index, tokens) in sequences.enumerated() {
            let alone = IncrementalPass(model, threads: 2)
            try alone.append([tokens])
            #expect(
                IncrementalPassTests.close(
                    IncrementalPassTests.logits(alone), IncrementalPassTests.logits(together, of: index)))
        }
    }

    @Test("any number of threads gives the same bits", arguments: KnownStates.models)
    func threads(name: String) throws {
        let model = try DecoderModel(KnownStates.checkpoint(name))
        let tokens = IncrementalPassTests.tokens(20, vocabulary: 64)
        let found = try (1...3).map { threads in
            let pass = IncrementalPass(model, threads: threads)
            try pass.append([Array(tokens.prefix(10))])
            for token in tokens.dropFirst(10) { try pass.append([[token]]) }
            return IncrementalPassTests.logits(pass)
        }
        #expect(found[0] == found[1] && found[0] == found[2])
    }

    @Test("a token without a row in the embedding is refused, and so are logits that are NaN")
    func refusals() throws {
        var checkpoint = try KnownStates.checkpoint("llama3")
        let pass = try IncrementalPass(DecoderModel(checkpoint), threads: 1)
        let strange = #expect(throws: CheckpointError.self) { try pass.append([[1, 64]]) }
        #expect(strange?.description.contains("has 64 rows; the tokenizer produced the token 64") == true)
        let index = try #require(checkpoint.tensors.firstIndex { $0.name == "model.norm.weight" })
        checkpoint.tensors[index] = Tensor(
            name: "model.norm.weight", dtype: .f32, shape: [32], recipe: .computed(NaNRows()))
        let broken = try IncrementalPass(DecoderModel(checkpoint), threads: 1)
        let error = #expect(throws: CheckpointError.self) { try broken.append([[1, 2, 3]]) }
        #expect(error?.description.contains("the logits behind token 2 are NaN or infinite") == true)
    }
}

/// A vector of NaN.
private struct NaNRows: RowSource {
    var description: String { "NaN" }

    func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        for index in 0..<output.count / 4 {
            output.storeBytes(of: Float.nan, toByteOffset: 4 * index, as: Float.self)
        }
    }
}
