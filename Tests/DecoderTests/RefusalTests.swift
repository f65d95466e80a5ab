import Checkpoints
import Decoder
import Formats
import Testing
import TestSupport

@Suite("models that cannot be run")
struct RefusalTests {
    private static func expectRefusal(
        _ message: String, gguf: Bool = false, sourceLocation: SourceLocation = #_sourceLocation,
        _ change: (inout Checkpoint) throws -> Void
    ) throws {
        var checkpoint = try gguf ? KnownStates.gguf("mistral") : KnownStates.checkpoint("mistral")
        try change(&checkpoint)
        let error = #expect(throws: CheckpointError.self, sourceLocation: sourceLocation) {
            try DecoderModel(checkpoint)
        }
        #expect(
            error?.description.contains(message) == true, "\(error?.description ?? "")", sourceLocation: sourceLocation)
    }

    @Test("an architecture without a description")
    func undescribed() throws {
        try RefusalTests.expectRefusal("the class 'MistralForCausalLM' is not a causal") {
            $0.architecture = nil
        }
        try RefusalTests.expectRefusal("has tensors without a configuration") {
            $0.architecture = nil
            $0.container = .safetensors(header: nil)
        }
    }

    @Test("a tensor that is missing or has another shape")
    func tensors() throws {
        try RefusalTests.expectRefusal("tensor 'model.layers.1.mlp.up_proj.weight' is missing") {
            $0.tensors.removeAll { $0.name == "model.layers.1.mlp.up_proj.weight" }
        }
        try RefusalTests.expectRefusal("tensor 'model.norm.weight' has the shape [32]; the configuration asks for [30]")
        {
            $0.config?["hidden_size"] = .int(30)
            $0.tensors.removeAll {
                $0.name != "model.norm.weight" && !$0.name.contains("layers") && !$0.name.contains("embed")
            }
            let columns = $0.tensors.firstIndex { $0.name.contains("embed") }
            let embedding = $0.tensors.remove(at: columns ?? 0)
            $0.tensors.append(Tensor(name: embedding.name, dtype: .bf16, shape: [64, 30], recipe: embedding.recipe))
        }
        try RefusalTests.expectRefusal(
            "tensor 'model.embed_tokens.weight' has the shape [62, 32]; the configuration asks for [64, 32]"
        ) {
            let index = try #require($0.tensors.firstIndex { $0.name.contains("embed") })
            let embedding = $0.tensors[index]
            $0.tensors[index] = Tensor(name: embedding.name, dtype: .bf16, shape: [62, 32], recipe: embedding.recipe)
        }
    }

    @Test("a tensor that only config.json tells of")
    func toldOf() throws {
        try RefusalTests.expectRefusal("tensor 'lm_head.weight' is missing") {
            $0.tensors.removeAll { $0.name == "lm_head.weight" }
        }
        try RefusalTests.expectRefusal("tensor 'model.layers.0.self_attn.q_proj.bias' is missing") {
            $0.config?["attention_bias"] = .bool(true)
        }
        try RefusalTests.expectRefusal("tensor 'model.layers.0.mlp.gate_proj.bias' is missing") {
            $0.config?["mlp_bias"] = .bool(true)
        }
    }

    @Test("an output matrix in the file counts, whatever the configuration says of tied embeddings")
    func tied() throws {
        let contexts: [[Int32]] = [[1, 2, 3, 4, 5]]
        func losses(_ checkpoint: Checkpoint) throws -> [Double] {
            let pass = try ForwardPass(DecoderModel(checkpoint), contexts: contexts, precision: .f32, threads: 1)
            while pass.layer < pass.model.plan.layers.count { try pass.advance() }
            return try pass.allLosses(contexts)
        }
        var checkpoint = try KnownStates.checkpoint("mistral")
        let own = try losses(checkpoint)
        // transformers 5 ties equal matrices only, and llama.cpp reads the one in the file.
        checkpoint.config?["tie_word_embeddings"] = .bool(true)
        #expect(try losses(checkpoint) == own)
        checkpoint.tensors.removeAll { $0.name == "lm_head.weight" }
        let tied = try losses(checkpoint)
        #expect(own != tied)
        var embedding = try #require(checkpoint.tensor(named: "model.embed_tokens.weight"))
        embedding.name = "lm_head.weight"
        checkpoint.tensors.append(embedding)
        #expect(try losses(checkpoint) == tied)
    }

    @Test(
        "numbers that are missing, absurd, or do not fit together",
        arguments: [
            ("hidden_size", "0"), ("hidden_size", "-32"), ("hidden_size", "1e3"), ("hidden_size", "4294967296"),
            ("num_attention_heads", "0"),
            ("intermediate_size", "\"48\""), ("num_attention_heads", "5"), ("head_dim", "15"),
            ("head_dim", "2147483647"), ("rms_norm_eps", "null"), ("rms_norm_eps", "-1"),
            ("rms_norm_eps", "1e999"), ("num_key_value_heads", "3"), ("hidden_act", "\"gelu\""),
            ("sliding_window", "-1"), ("sliding_window", "\"all\""), ("vocab_size", "63"),
        ])
    func numbers(key: String, value: String) throws {
        try RefusalTests.expectRefusal("") { $0.config?[key] = try JSON.parse(value) }
    }

    @Test(
        "scalings of positions that are not computed",
        arguments: [
            #"{"rope_type":"proportional","factor":4.0}"#, #"{"rope_type":"dynamic"}"#,
            #"{"rope_type":"longrope","long_factor":[1.0],"short_factor":[1.0]}"#,
            #"{"rope_type":"yarn","factor":4.0,"original_max_position_embeddings":"64"}"#,
            #"{"rope_type":"yarn","factor":4.0,"original_max_position_embeddings":64,"beta_fast":true}"#,
            #"{"rope_type":"linear","factor":0}"#, #"{"rope_type":"linear"}"#,
            #"{"rope_type":"default","rope_theta":1}"#, #"{"rope_type":"default","rope_theta":1e999}"#,
            #"{"rope_type":"linear","factor":2.0,"partial_rotary_factor":0.5}"#, #"{"factor":2.0}"#,
            #"{"full_attention":{"rope_type":"default"},"sliding_attention":{"rope_type":"default"}}"#,
        ])
    func scalings(value: String) throws {
        try RefusalTests.expectRefusal("") { $0.config?["rope_parameters"] = try JSON.parse(value) }
    }

    @Test("an activation that is not computed is named")
    func activation() throws {
        try RefusalTests.expectRefusal("'hidden_act' is 'gelu', which is not known for mistral") {
            $0.config?["hidden_act"] = .string("gelu")
        }
    }

    @Test("GGUF metadata that asks for more than is computed")
    func metadata() throws {
        try RefusalTests.expectRefusal("rotates 18 of the 16 elements", gguf: true) {
            $0.metadata["llama.rope.dimension_count"] = .u32(18)
        }
        try RefusalTests.expectRefusal("'llama.embedding_length' is missing", gguf: true) {
            $0.metadata["llama.embedding_length"] = nil
        }
        try RefusalTests.expectRefusal("the rope scaling 'longest'", gguf: true) {
            $0.metadata["llama.rope.scaling.type"] = .string("longest")
            $0.metadata["llama.rope.scaling.factor"] = .f32(4)
        }
    }
}
