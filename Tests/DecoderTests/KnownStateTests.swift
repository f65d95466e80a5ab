import Checkpoints
import Decoder
import Testing
import TestSupport

@Suite("states and losses against known answers")
struct KnownStateTests {
    /// The largest error of what is known, as a share of the norm of its state.
    private static func error(_ states: [[Float]], _ known: KnownStates, before length: Int = .max) -> Double {
        let contextLength = known.contexts[0].count
        let hidden = states[0].count / (known.contexts.count * contextLength)
        var worst = 0.0
        for (layer, contexts) in known.states.enumerated() {
            for (context, rows) in contexts.enumerated() {
                for (token, row) in zip(known.tokens, rows) where token < length {
                    let start = (context * contextLength + token) * hidden
                    let found = states[layer][start..<start + hidden].map(Double.init)
                    let norm = found.reduce(0) { $0 + $1 * $1 }.squareRoot()
                    worst = max(worst, abs(norm - row.norm) / row.norm)
                    for (a, b) in zip(found, row.values) { worst = max(worst, abs(a - b) / row.norm) }
                }
            }
        }
        return worst
    }

    @Test("the input of every layer, and what leaves the last", arguments: KnownStates.models)
    func states(name: String) throws {
        let known = try KnownStates(name)
        let states = try allStates(KnownStates.checkpoint(name), known.contexts)
        try #require(states.count == known.states.count)
        #expect(KnownStateTests.error(states, known) < 1e-5)
    }

    @Test("the loss of every token", arguments: KnownStates.models)
    func losses(name: String) throws {
        let known = try KnownStates(name)
        let model = try DecoderModel(KnownStates.checkpoint(name))
        let pass = try ForwardPass(model, contexts: known.contexts, precision: .f32, threads: 2)
        while pass.layer < model.plan.layers.count { try pass.advance() }
        let found = try pass.allLosses(known.contexts)
        let expected = known.losses.flatMap { $0 }
        try #require(found.count == expected.count)
        #expect(zip(found, expected).allSatisfy { abs($0 - $1) < 1e-4 })
    }

    /// GGUF files of the llama architecture know no window, so Mistral's agree as far as it reaches.
    @Test(
        "the same model as GGUF, with its rows in the other order",
        arguments: [("kjv-7m", 64), ("llama3", 64), ("mistral", 24)])
    func gguf(name: String, length: Int) throws {
        let known = try KnownStates(name)
        let states = try allStates(KnownStates.gguf(name), known.contexts)
        try #require(states.count == known.states.count)
        #expect(KnownStateTests.error(states, known, before: length) < 1e-5)
    }

    @Test("activations rounded to bf16 stay near", arguments: KnownStates.models)
    func bf16(name: String) throws {
        let known = try KnownStates(name)
        let states = try allStates(KnownStates.checkpoint(name), known.contexts, precision: .bf16)
        #expect(KnownStateTests.error(states, known) < 0.03)
    }
}
