import Checkpoints
import Decoder
import Testing
import TestSupport
import Weights

/// The gradients in fixtures/gradients, by PyTorch and PEFT.
private struct KnownGradients {
    let file: Checkpoint

    init(_ name: String) throws { file = try Checkpoint.open(Fixture.path("gradients/\(name).safetensors")) }

    func values(_ name: String) throws -> [Float] { try #require(file.tensor(named: name)).floats() }

    static func module(_ position: AdapterPosition) -> String {
        let parts: [ProductRole: String] = [
            .query: "self_attn.q_proj", .key: "self_attn.k_proj", .value: "self_attn.v_proj",
            .attentionOutput: "self_attn.o_proj", .gate: "mlp.gate_proj", .up: "mlp.up_proj", .down: "mlp.down_proj",
        ]
        return "model.layers.\(position.layer).\(parts[position.role] ?? "")"
    }
}

@Suite("gradients of adapters")
struct GradientTests {
    /// |found - expected| / |expected|, of vectors.
    private static func error(_ found: [Float], _ expected: [Float]) -> Double {
        var difference = 0.0, size = 0.0
        for (a, b) in zip(found, expected) {
            difference += (Double(a) - Double(b)) * (Double(a) - Double(b))
            size += Double(b) * Double(b)
        }
        return found.count == expected.count ? (difference / size).squareRoot() : .infinity
    }

    @Test(
        "every A and B as PyTorch's autograd has them, with biases, grouped heads and a window",
        arguments: ["llama3", "mistral"], AdaptedModel.Loss.allCases)
    func known(name: String, loss: AdaptedModel.Loss) throws {
        let known = try KnownGradients(name)
        let base = try DecoderModel(KnownStates.checkpoint(name))
        let contexts = try KnownStates(name).contexts
        var adapted = AdaptedModel(base, rank: 2, scale: 1.5, layers: 0..<3)
        for position in adapted.positions {
            adapted.a[position] = try known.values(KnownGradients.module(position) + ".lora_A.weight")
            adapted.b[position] = try known.values(KnownGradients.module(position) + ".lora_B.weight")
        }
        #expect(adapted.positions.count == 21)
        let found = try adapted.gradients(loss, contexts, AdaptedModel.Teacher(base, contexts), threads: 2)
        let value = Double(try known.values("\(loss)/loss")[0])
        #expect(abs(found.loss - value) < 1e-5 * value)
        for position in adapted.positions {
            let module = "\(loss)/\(KnownGradients.module(position))"
            let a = GradientTests.error(try #require(found.a[position]), try known.values(module + ".lora_A.weight"))
            let b = GradientTests.error(try #require(found.b[position]), try known.values(module + ".lora_B.weight"))
            #expect(a < 1e-4 && b < 1e-4, "\(module) \(a) \(b)")
        }
    }

    @Test("the loss changes along a direction as the gradients say", arguments: AdaptedModel.Loss.allCases, [0, 0.3])
    func differences(loss: AdaptedModel.Loss, dropout: Double) throws {
        let base = try DecoderModel(KnownStates.checkpoint("mistral"))
        var random = SeededGenerator(seed: 11)
        let contexts = (0..<3).map { _ in (0..<70).map { _ in Int32.random(in: 0..<64, using: &random) } }
        var adapted = AdaptedModel(base, rank: 3, scale: 0.7, layers: 1..<3, seed: 12)
        adapted.dropout = dropout
        let teacher = try AdaptedModel.Teacher(base, contexts)
        let found = try adapted.gradients(loss, contexts, teacher, threads: 2)
        var (ahead, behind, slope) = (adapted, adapted, 0.0)
        let step: Float = 2e-3
        for position in adapted.positions {
            let (a, b) = (try #require(found.a[position]), try #require(found.b[position]))
            for (path, gradient) in [(\AdaptedModel.a, a), (\AdaptedModel.b, b)] {
                let direction = random.floats(gradient.count)
                for (index, (d, g)) in zip(direction, gradient).enumerated() {
                    slope += Double(d) * Double(g)
                    ahead[keyPath: path][position]?[index] += step * d
                    behind[keyPath: path][position]?[index] -= step * d
                }
            }
        }
        let change =
            try ahead.gradients(loss, contexts, teacher, threads: 2).loss
            - behind.gradients(loss, contexts, teacher, threads: 2).loss
        #expect(
            abs(change / Double(2 * step) - slope) < 0.01 * max(abs(slope), 0.01),
            "\(change / Double(2 * step)) \(slope)")
    }

    @Test("any number of threads gives the same bits", arguments: AdaptedModel.Loss.allCases)
    func threads(loss: AdaptedModel.Loss) throws {
        let base = try DecoderModel(KnownStates.checkpoint("llama3"))
        var random = SeededGenerator(seed: 13)
        let contexts = (0..<3).map { _ in (0..<90).map { _ in Int32.random(in: 0..<64, using: &random) } }
        var adapted = AdaptedModel(base, rank: 2, scale: 1, layers: 0..<3)
        adapted.dropout = 0.1
        let one = try adapted.gradients(loss, contexts, AdaptedModel.Teacher(base, contexts, threads: 1), threads: 1)
        for threads in 2...3 {
            let teacher = try AdaptedModel.Teacher(base, contexts, threads: threads)
            let some = try adapted.gradients(loss, contexts, teacher, threads: threads)
            #expect(some.loss == one.loss && some.a == one.a && some.b == one.b)
        }
    }

    @Test("memory for none, some or all of the layers gives the same bits", arguments: [0, 0.1])
    func memory(dropout: Double) throws {
        let base = try DecoderModel(KnownStates.checkpoint("mistral"))
        let contexts = try KnownStates("mistral").contexts
        let teacher = try AdaptedModel.Teacher(base, contexts)
        var adapted = AdaptedModel(base, rank: 2, scale: 1, layers: 0..<3)
        adapted.dropout = dropout
        // A token of the model takes 32 + 2 * 64 + 2 * 32 + 2 * 48 floats in a layer, and there are 128.
        let found = try [0, 2 * 163_840, 1 << 30].map {
            try adapted.gradients(.text, contexts, teacher, memory: $0, threads: 2)
        }
        for other in found.dropFirst() { #expect(other.a == found[0].a && other.b == found[0].b) }
    }

    @Test("products that have no adapter change nothing in the gradients of the others")
    func fewer() throws {
        let base = try DecoderModel(KnownStates.checkpoint("mistral"))
        let contexts = try KnownStates("mistral").contexts
        let teacher = try AdaptedModel.Teacher(base, contexts)
        var all = AdaptedModel(base, rank: 2, scale: 1, layers: 0..<3)
        let mlp: [ProductRole] = [.gate, .up, .down]
        for position in all.positions where !mlp.contains(position.role) || position.layer == 0 {
            all.b[position] = all.b[position]?.map { _ in 0 }
        }
        var some = all
        for position in all.positions where !mlp.contains(position.role) || position.layer == 0 {
            (some.a[position], some.b[position]) = (nil, nil)
        }
        let (expected, found) = (
            try all.gradients(.text, contexts, teacher, threads: 2),
            try some.gradients(.text, contexts, teacher, threads: 2)
        )
        #expect(some.positions.count == 6 && found.loss == expected.loss)
        for position in some.positions {
            #expect(found.a[position] == expected.a[position] && found.b[position] == expected.b[position])
        }
    }
}
