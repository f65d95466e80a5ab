import Checkpoints
import Decoder
import ModelSupport
import TestSupport
import Testing

/// The backward pass of every operation that a described family has.
@Suite("gradients of operations")
struct OperationGradientTests {
    /// Classes with what their configuration asks for. All experts are used, so that no token changes its experts.
    static let classes: [(name: String, members: String)] = [
        ("Qwen3ForCausalLM", #"{"head_dim": 16}"#),
        (
            "Gemma2ForCausalLM",
            #"{"head_dim": 16, "query_pre_attn_scalar": 20, "attn_logit_softcapping": 3.0, "final_logit_softcapping": 4.0, "sliding_window": 16, "hidden_activation": "gelu_pytorch_tanh"}"#
        ),
        ("GPTNeoXForCausalLM", #"{"rotary_pct": 0.25, "hidden_act": "gelu"}"#),
        ("PhiForCausalLM", #"{"partial_rotary_factor": 0.5, "hidden_act": "gelu_new"}"#),
        ("Olmo2ForCausalLM", "{}"),
        ("OlmoForCausalLM", #"{"clip_qkv": 0.8}"#),
        ("CohereForCausalLM", #"{"use_qk_norm": true, "logit_scale": 0.5}"#),
        (
            "GraniteForCausalLM",
            #"{"embedding_multiplier": 2.0, "attention_multiplier": 0.3, "residual_multiplier": 0.5, "logits_scaling": 2.0}"#
        ),
        ("NemotronForCausalLM", #"{"hidden_act": "relu2", "norm_eps": 1e-5, "partial_rotary_factor": 0.5}"#),
        (
            "Qwen2MoeForCausalLM",
            #"{"num_experts": 4, "num_experts_per_tok": 4, "moe_intermediate_size": 24, "shared_expert_intermediate_size": 16, "norm_topk_prob": false}"#
        ),
        (
            "GPT2LMHeadModel",
            #"{"n_layer": 3, "n_embd": 32, "n_inner": 48, "n_head": 4, "n_positions": 64, "layer_norm_epsilon": 1e-5, "activation_function": "gelu_new"}"#
        ),
        ("MixtralForCausalLM", #"{"num_local_experts": 4, "num_experts_per_tok": 4}"#),
    ]

    @Test("the loss changes along a direction as the gradients say", arguments: classes.map(\.name))
    func differences(name: String) throws {
        let members = try #require(Self.classes.first { $0.name == name }).members
        let base = try DecoderModel(RandomModels.folder(name, members))
        var random = SeededGenerator(seed: 31)
        let contexts = (0..<2).map { _ in (0..<40).map { _ in Int32.random(in: 0..<64, using: &random) } }
        let adapted = AdaptedModel(base, rank: 2, scale: 0.5, layers: 0..<3, seed: 32)
        #expect(adapted.positions.count >= 12)
        let teacher = try AdaptedModel.Teacher(base, contexts)
        let found = try adapted.gradients(.classes, contexts, teacher, threads: 2)
        let other = try adapted.gradients(.classes, contexts, teacher, memory: 1 << 30, threads: 1)
        #expect(other.a == found.a && other.b == found.b && other.loss == found.loss)
        var (ahead, behind, slope) = (adapted, adapted, 0.0)
        let step: Float = 1e-3
        for position in adapted.positions {
            let (a, b) = (try #require(found.a[position]), try #require(found.b[position]))
            for (path, gradient) in [(\AdaptedModel.a, a), (\AdaptedModel.b, b)] {
                // Along the gradient itself the change is largest beside the rounding.
                let size = gradient.reduce(Float(0)) { $0 + $1 * $1 }.squareRoot()
                for (index, g) in gradient.enumerated() where size > 0 {
                    let direction = g / size
                    slope += Double(direction) * Double(g)
                    ahead[keyPath: path][position]?[index] += step * direction
                    behind[keyPath: path][position]?[index] -= step * direction
                }
            }
        }
        let change =
            try ahead.gradients(.classes, contexts, teacher, threads: 2).loss
            - behind.gradients(.classes, contexts, teacher, threads: 2).loss
        let measured = change / Double(2 * step)
        #expect(slope > 1e-4 && abs(measured - slope) < 0.01 * slope, "\(measured) \(slope)")
    }

    @Test("weights that are stored transposed or joined with others are told from those that can be replaced")
    func stored() throws {
        func model(_ name: String, _ members: String = "{}") throws -> DecoderModel {
            try DecoderModel(RandomModels.folder(name, members))
        }
        let conv1D = try #require(Self.classes.first { $0.name == "GPT2LMHeadModel" }).members
        let gpt2 = try model("GPT2LMHeadModel", conv1D)
        #expect(gpt2.joinedProduct == nil)
        #expect(!gpt2.isStoredWhole(.attentionOutput) && !gpt2.isStoredWhole(.up))
        let phi3 = try model("Phi3ForCausalLM", #"{"pad_token_id": 0}"#)
        #expect(phi3.joinedProduct == nil && phi3.isStoredWhole(.down))
        #expect(!phi3.isStoredWhole(.query) && !phi3.isStoredWhole(.gate))
        let qwen3 = try model("Qwen3ForCausalLM", #"{"head_dim": 16}"#)
        #expect(ProductRole.allCases.allSatisfy(qwen3.isStoredWhole))
    }
}
