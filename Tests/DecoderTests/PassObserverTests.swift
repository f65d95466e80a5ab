import Checkpoints
import Decoder
import Synchronization
import Testing
import TestSupport
import Weights

/// Keeps all that a pass tells.
private final class Recorder: PassObserver, Sendable {
    struct Rows {
        var values: [Float] = []
        var tokens: [Int] = []
        var columns = 0

        mutating func add(_ rows: ObservedRows) {
            values += UnsafeBufferPointer(start: rows.values, count: rows.tokens.count * rows.columns)
            tokens += rows.tokens
            columns = rows.columns
        }

        func row(_ index: Int) -> ArraySlice<Float> { values[index * columns..<(index + 1) * columns] }
    }

    struct Product: Hashable {
        let role: ProductRole
        let layer: Int?
    }

    let streams = Mutex<[Int: Rows]>([:])
    let operands = Mutex<[Product: Rows]>([:])

    func stream(_ rows: ObservedRows, before layer: Int) throws(CheckpointError) {
        streams.withLock { $0[layer, default: Rows()].add(rows) }
    }

    func operand(_ rows: ObservedRows, of roles: [ProductRole], layer: Int?) throws(CheckpointError) {
        for role in roles {
            operands.withLock { $0[Product(role: role, layer: layer), default: Rows()].add(rows) }
        }
    }
}

@Suite("what an observer is told")
struct PassObserverTests {
    private static func run(_ name: String, _ contexts: [[Int32]]) throws -> (ForwardPass, Recorder) {
        let recorder = Recorder()
        let pass = try ForwardPass(
            DecoderModel(KnownStates.checkpoint(name)), contexts: contexts, precision: .f32, threads: 2,
            observer: recorder)
        while pass.layer < pass.model.plan.layers.count { try pass.advance() }
        return (pass, recorder)
    }

    @Test("the stream before each layer and behind the last", arguments: KnownStates.models)
    func streams(name: String) throws {
        let contexts = try KnownStates(name).contexts
        let (pass, recorder) = try PassObserverTests.run(name, contexts)
        let streams = recorder.streams.withLock { $0 }
        let expected = try allStates(KnownStates.checkpoint(name), contexts)
        #expect(streams.count == expected.count)
        for (layer, states) in expected.enumerated() {
            #expect(streams[layer]?.values == states)
            #expect(streams[layer]?.tokens == Array(0..<pass.contextCount * pass.contextLength))
        }
    }

    @Test("more contexts than run at once come in batches, every token once")
    func batches() throws {
        let contexts = (0..<140).map { context in (0..<512).map { Int32((context * 31 + $0 * 7) % 64) } }
        let (_, recorder) = try PassObserverTests.run("llama3", contexts)
        let all = Array(0..<140 * 512)
        #expect(recorder.streams.withLock { $0.values.allSatisfy { $0.tokens == all } })
        #expect(recorder.operands.withLock { $0.values.allSatisfy { $0.tokens == all } })
    }

    /// A layer adds to the stream what its two last products give, and its first products read the normed stream: both are
    /// computed here from the tensors, in f64.
    @Test("operands by role and layer", arguments: ["llama3", "mistral"])
    func operands(name: String) throws {
        let checkpoint = try KnownStates.checkpoint(name)
        let (pass, recorder) = try PassObserverTests.run(name, [[5, 9, 33, 2, 61, 7, 7]])
        let (streams, operands) = (recorder.streams.withLock { $0 }, recorder.operands.withLock { $0 })
        func rows(_ role: ProductRole, _ layer: Int?) throws -> Recorder.Rows {
            try #require(operands[Recorder.Product(role: role, layer: layer)])
        }
        func values(_ layer: Int, _ name: String) throws -> [Float]? {
            try checkpoint.tensor(named: "model.layers.\(layer).\(name)")?.floats()
        }
        func product(_ layer: Int, _ name: String) throws -> (ArraySlice<Float>) -> [Double] {
            let weight = try #require(try values(layer, name + ".weight"))
            let bias = try values(layer, name + ".bias")
            return { row in
                (0..<weight.count / row.count).map { output in
                    zip(weight[output * row.count..<(output + 1) * row.count], row).reduce(Double(bias?[output] ?? 0)) {
                        $0 + Double($1.0) * Double($1.1)
                    }
                }
            }
        }
        let (layers, epsilon) = (pass.model.plan.layers.count, Double(pass.model.plan.outputNorm.epsilon))
        for layer in 0..<layers {
            let (before, after) = (try #require(streams[layer]), try #require(streams[layer + 1]))
            let normed = try rows(.query, layer)
            #expect(try rows(.key, layer).values == normed.values && rows(.value, layer).values == normed.values)
            #expect(try rows(.gate, layer).values == rows(.up, layer).values)
            #expect(try rows(.gate, layer).values != normed.values)
            let (mixed, inner) = (try rows(.attentionOutput, layer), try rows(.down, layer))
            let (output, down) = (try product(layer, "self_attn.o_proj"), try product(layer, "mlp.down_proj"))
            let norm = try #require(try values(layer, "input_layernorm.weight"))
            for token in 0..<7 {
                let state = before.row(token).map(Double.init)
                let root = (state.reduce(0) { $0 + $1 * $1 } / Double(state.count) + epsilon).squareRoot()
                for (found, (x, weight)) in zip(normed.row(token), zip(state, norm)) {
                    #expect(abs(Double(found) - x / root * Double(weight)) < 1e-5)
                }
                let (attended, fed) = (output(mixed.row(token)), down(inner.row(token)))
                for (index, found) in after.row(token).enumerated() {
                    #expect(abs(Double(found) - (state[index] + attended[index] + fed[index])) < 1e-4)
                }
            }
        }
        // Queries, keys, values, the output of attention, gate, up and down.
        #expect(operands.count == layers * 7)
        // The output matrix is told the tokens that are scored.
        _ = try pass.losses(of: [(index: 2, token: 1), (index: 5, token: 4)], threads: 1)
        let scored = try #require(
            recorder.operands.withLock { $0[Recorder.Product(role: .output, layer: nil)] })
        #expect(scored.tokens == [2, 5] && scored.values.count == 2 * pass.model.plan.hidden)
    }

    @Test("an error of the observer ends the pass")
    func stops() throws {
        struct Stop: PassObserver {
            func stream(_ rows: ObservedRows, before layer: Int) throws(CheckpointError) {
                if layer == 1 { throw CheckpointError("stopped before layer 1") }
            }
        }
        let pass = try ForwardPass(
            DecoderModel(KnownStates.checkpoint("llama3")), contexts: [[1, 2, 3]], precision: .f32, threads: 1,
            observer: Stop())
        try pass.advance()
        let error = #expect(throws: CheckpointError.self) { try pass.advance() }
        #expect(error?.description.contains("stopped before layer 1") == true)
    }
}
