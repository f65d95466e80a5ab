import Checkpoints
import Decoder
import Formats
import Surgery
import Testing
import TestSupport

@Suite("laws of the forward pass")
struct ForwardPassTests {
    private static func contexts(_ count: Int, _ length: Int, vocabulary: Int32 = 64) -> [[Int32]] {
        var random = SeededGenerator(seed: 3)
        return (0..<count).map { _ in (0..<length).map { _ in Int32.random(in: 0..<vocabulary, using: &random) } }
    }

    @Test(
        "any number of threads gives the same bits", arguments: KnownStates.models, [ForwardPass.Precision.f32, .bf16])
    func threads(name: String, precision: ForwardPass.Precision) throws {
        let contexts = ForwardPassTests.contexts(3, 50)
        let model = try DecoderModel(KnownStates.checkpoint(name))
        var first: (states: [Float], losses: [Double])?
        for threads in 1...3 {
            let pass = try ForwardPass(model, contexts: contexts, precision: precision, threads: threads)
            while pass.layer < model.plan.layers.count { try pass.advance() }
            let found = (states: pass.copiedStates, losses: try pass.allLosses(threads: threads, contexts))
            #expect(found.states == first?.states ?? found.states)
            #expect(found.losses == first?.losses ?? found.losses)
            first = found
        }
    }

    @Test("a context has the same bits alone and among so many that they run in several batches")
    func batches() throws {
        let contexts = ForwardPassTests.contexts(140, 512)
        let checkpoint = try KnownStates.checkpoint("llama3")
        let together = try allStates(checkpoint, contexts)
        let size = together[0].count / contexts.count
        for number in [0, 70, 139] {
            let alone = try allStates(checkpoint, [contexts[number]])
            for (a, b) in zip(alone, together) { #expect(a == Array(b[number * size..<(number + 1) * size])) }
        }
    }

    @Test("a token does not depend on those behind it")
    func causal() throws {
        let long = ForwardPassTests.contexts(1, 130)
        let checkpoint = try KnownStates.checkpoint("mistral")
        let short = try allStates(checkpoint, [Array(long[0].prefix(67))])
        for (a, b) in zip(short, try allStates(checkpoint, long)) {
            #expect(zip(a, b).allSatisfy { abs($0 - $1) <= 1e-5 * max(1, abs($0)) })
        }
    }

    @Test(
        "continuing after a run of layers gives what the model without the run gives",
        arguments: [0..<2, 3..<6, 10..<12])
    func skipping(run: Range<Int>) throws {
        let contexts = ForwardPassTests.contexts(2, 40, vocabulary: 2048)
        let checkpoint = try KnownStates.checkpoint("kjv-7m")
        let pass = try ForwardPass(DecoderModel(checkpoint), contexts: contexts, precision: .f32, threads: 2)
        while pass.layer < run.lowerBound { try pass.advance() }
        let before = pass.copiedStates
        let fork = pass.fork(continuingAt: run.upperBound)
        while fork.layer < 12 { try fork.advance() }
        let cut = try allStates(CutLayers(layers: run).apply(to: checkpoint), contexts)
        #expect(fork.copiedStates == cut.last)
        // The pass itself goes on as if there had been no fork.
        #expect(pass.copiedStates == before && pass.layer == run.lowerBound)
        while pass.layer < 12 { try pass.advance() }
        #expect(try pass.copiedStates == allStates(checkpoint, contexts).last)
    }

    @Test("going on with another model of the same width gives what that model gives")
    func otherModel() throws {
        let contexts = ForwardPassTests.contexts(2, 40, vocabulary: 2048)
        let checkpoint = try KnownStates.checkpoint("kjv-7m")
        let pass = try ForwardPass(DecoderModel(checkpoint), contexts: contexts, precision: .f32, threads: 2)
        func states(from layer: Int, _ other: Checkpoint) throws -> [Float] {
            let model = try DecoderModel(other)
            let fork = pass.fork(continuingAt: layer, with: model)
            while fork.layer < model.plan.layers.count { try fork.advance() }
            return fork.copiedStates
        }
        // Another base of the rotary embedding, from the first layer on.
        var turned = checkpoint
        turned.config?["rope_theta"] = .int(500_000)
        #expect(try states(from: 0, turned) == allStates(turned, contexts).last)
        #expect(try states(from: 0, turned) != allStates(checkpoint, contexts).last)
        while pass.layer < 5 { try pass.advance() }
        // Other weights in the layers that are left.
        var patched = checkpoint
        let names = [6, 9].map { "model.layers.\($0).mlp.down_proj.weight" }
        let places = try names.map { name in try #require(patched.tensors.firstIndex { $0.name == name }) }
        patched.tensors[places[0]].name = names[1]
        patched.tensors[places[1]].name = names[0]
        #expect(try states(from: 5, patched) == allStates(patched, contexts).last)
        #expect(try states(from: 5, patched) != allStates(checkpoint, contexts).last)
        // A model without some of them.
        let cut = try CutLayers(layers: 7..<10).apply(to: checkpoint)
        #expect(try states(from: 5, cut) == allStates(cut, contexts).last)
    }

    @Test("a token without a row in the embedding is refused", arguments: [64, -1, Int32.max])
    func strangeToken(token: Int32) throws {
        let model = try DecoderModel(KnownStates.checkpoint("llama3"))
        let error = #expect(throws: CheckpointError.self) {
            try ForwardPass(model, contexts: [[1, token]], precision: .f32, threads: 1)
        }
        #expect(error?.description.contains("has 64 rows; the tokenizer produced the token \(token)") == true)
    }
}
