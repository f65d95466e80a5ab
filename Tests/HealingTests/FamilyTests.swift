import Analysis
import Checkpoints
import Decoder
import Healing
import ModelSupport
import Surgery
import TestSupport
import Testing
import Weights

/// The closed form on every shape of a layer that a described family has.
@Suite("a heal in closed form of every family")
struct FamilyTests {
    /// Classes with what their configuration asks for beside the sizes.
    static let classes: [(name: String, members: String)] = [
        ("LlamaForCausalLM", "{}"),
        (
            "Gemma3ForCausalLM",
            #"{"head_dim": 16, "query_pre_attn_scalar": 16, "hidden_activation": "gelu_pytorch_tanh", "sliding_window": 16, "layer_types": ["full_attention", "full_attention", "full_attention", "full_attention", "full_attention", "full_attention"]}"#
        ),
        ("Olmo2ForCausalLM", "{}"),
        ("Glm4ForCausalLM", #"{"head_dim": 8, "attention_bias": true, "pad_token_id": 0}"#),
        ("GPTNeoXForCausalLM", #"{"rotary_pct": 0.25, "hidden_act": "gelu"}"#),
        ("PhiForCausalLM", #"{"partial_rotary_factor": 0.5, "hidden_act": "gelu_new"}"#),
        ("CohereForCausalLM", #"{"logit_scale": 0.5}"#),
        (
            "GraniteForCausalLM",
            #"{"embedding_multiplier": 2.0, "attention_multiplier": 0.3, "residual_multiplier": 0.5, "logits_scaling": 2.0}"#
        ),
        (
            "Qwen2MoeForCausalLM",
            #"{"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24, "shared_expert_intermediate_size": 40, "norm_topk_prob": false}"#
        ),
        ("MixtralForCausalLM", #"{"num_local_experts": 4, "num_experts_per_tok": 2}"#),
        (
            "GPT2LMHeadModel",
            #"{"n_layer": 6, "n_embd": 32, "n_inner": 48, "n_head": 4, "n_positions": 64, "layer_norm_epsilon": 1e-5, "activation_function": "gelu_new"}"#
        ),
    ]

    static let dropped = LayerRuns([2..<3])

    static func model(_ name: String) throws -> Checkpoint {
        let members = try #require(classes.first { $0.name == name }).members
        return try RandomModels.folder(name, members, layers: 6)
    }

    static func corpus(_ contexts: Int, seed: UInt64) -> Corpus {
        var random = SeededGenerator(seed: seed)
        let contexts = (0..<contexts).map { _ in (0..<40).map { _ in Int32.random(in: 0..<64, using: &random) } }
        return Corpus(path: "random tokens", contextLength: 40, contexts: contexts, beginning: nil)
    }

    /// The states after the last layer.
    static func states(_ checkpoint: Checkpoint, _ corpus: Corpus) throws -> [Float] {
        let pass = try ForwardPass(DecoderModel(checkpoint), contexts: corpus.inputs, precision: .f32, threads: 2)
        while pass.layer < checkpoint.layerCount { try pass.advance() }
        return Array(UnsafeBufferPointer(start: pass.states, count: corpus.contexts.count * 40 * 32))
    }

    static func distance(_ a: [Float], _ b: [Float]) -> Double {
        zip(a, b).reduce(0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }
    }

    @Test(
        "the states of the healed model are closer to the whole model's on contexts that were not fitted",
        // Experts that stay as they were answer a fitted attention in ways that random weights make arbitrary.
        arguments: classes.map(\.name).filter { $0 != "MixtralForCausalLM" }, [ClosedForm.Method.refit, .bridge])
    func closer(name: String, method: ClosedForm.Method) throws {
        let model = try Self.model(name)
        let result = try ClosedForm(method: method).heal(
            model, dropping: Self.dropped, fitting: Self.corpus(48, seed: 3), choosing: nil, run: RunOptions(threads: 2)
        )
        #expect(!result.weights.tensors.isEmpty)
        let cut = try model.applying([CutLayers(layers: Self.dropped)])
        let healed = try model.applying([result.weights.edit, CutLayers(layers: Self.dropped)])
        let judges = Self.corpus(8, seed: 4)
        let whole = try Self.states(model, judges)
        let (before, after) = try (
            Self.distance(Self.states(cut, judges), whole), Self.distance(Self.states(healed, judges), whole)
        )
        #expect(after < before, "\(after) \(before)")
    }

    @Test("the loss of the walk is that of the model that it makes", arguments: classes.map(\.name))
    func sameLoss(name: String) throws {
        let model = try Self.model(name)
        let judges = Self.corpus(8, seed: 4)
        let result = try ClosedForm().heal(
            model, dropping: Self.dropped, fitting: Self.corpus(48, seed: 3), choosing: judges,
            run: RunOptions(threads: 2))
        func loss(_ checkpoint: Checkpoint) throws -> Double {
            try Evaluation.measure(checkpoint, corpus: judges, run: RunOptions(threads: 2)).negativeLogLikelihood
        }
        #expect(abs(try loss(model) - #require(result.wholeLoss)) < 1e-6)
        #expect(abs(try loss(model.applying([CutLayers(layers: Self.dropped)])) - #require(result.cutLoss)) < 1e-6)
        let healed = try model.applying([result.weights.edit, CutLayers(layers: Self.dropped)])
        #expect(abs(try loss(healed) - #require(result.healedLoss)) < 1e-5)
        // Two layers before the gap and three behind it; a shared expert is fitted.
        #expect(result.layersOfExperts == (name == "MixtralForCausalLM" ? 5 : 0))
    }

    @Test(
        "magnitude is to scale the states at the gap",
        arguments: classes.map(\.name).filter { $0 != "Olmo2ForCausalLM" })
    func magnitude(name: String) throws {
        let model = try Self.model(name)
        let result = try ClosedForm(method: .magnitude).heal(
            model, dropping: Self.dropped, fitting: Self.corpus(4, seed: 3), choosing: nil, run: RunOptions(threads: 2))
        // The factor, from a weight before and after; Gemma stores those of norms without the 1.
        let changed = try #require(result.weights.tensors.first)
        let old = try #require(model.tensors.first { $0.name == changed.name }).floats()[0]
        let offset: Float = name == "Gemma3ForCausalLM" ? 1 : 0
        let factor = try (old + offset) / (changed.floats()[0] + offset)
        #expect(abs(factor - 1) > 1e-3)
        let healed = try model.applying([result.weights.edit, CutLayers(layers: Self.dropped)])
        let cut = try model.applying([CutLayers(layers: Self.dropped)])
        let text = Self.corpus(2, seed: 5)
        let pass = try ForwardPass(DecoderModel(cut), contexts: text.inputs, precision: .f32, threads: 2)
        while pass.layer < 2 { try pass.advance() }
        let count = text.contexts.count * 40 * 32
        for index in 0..<count { pass.states[index] *= factor }
        while pass.layer < 5 { try pass.advance() }
        let expected = (0..<count).map { pass.states[$0] / factor }
        let found = try Self.states(healed, text)
        let size = expected.reduce(0) { $0 + Double($1) * Double($1) }
        #expect(Self.distance(found, expected) < 1e-6 * size, "\(Self.distance(found, expected) / size)")
    }

    @Test("magnitude refuses layers that read the states without a norm")
    func magnitudeWithoutNorms() throws {
        let error = try #require(throws: CheckpointError.self) {
            try ClosedForm(method: .magnitude).heal(
                Self.model("Olmo2ForCausalLM"), dropping: Self.dropped, fitting: Self.corpus(4, seed: 3), choosing: nil,
                run: RunOptions(threads: 2))
        }
        #expect("\(error)".contains("without a norm"))
    }
}
