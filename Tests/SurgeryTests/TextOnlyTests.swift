import Checkpoints
import Formats
import Surgery
import Testing

@Suite("the language model of a model that takes images too")
struct TextOnlyTests {
    /// Gemma 3 as its class for pictures stores it: the settings in text_config, a vision tower and a projector.
    private static func model() throws -> Checkpoint {
        let architecture = try #require(Architecture.all.first { $0.name == "gemma3" })
        var model = try DescribedModels.folder(architecture)
        let text = try #require(model.config)
        model.config = JSONObject([
            ("architectures", .array([.string("Gemma3ForConditionalGeneration")])), ("model_type", .string("gemma3")),
            ("eos_token_id", .array([.int(1), .int(3)])), ("text_config", .object(text)),
            ("vision_config", .object(JSONObject([("num_hidden_layers", .int(2))]))),
        ])
        for index in model.tensors.indices { model.tensors[index].name = "language_model." + model.tensors[index].name }
        for layer in 0..<2 {
            model.tensors.append(
                Models.zeros("vision_tower.vision_model.encoder.layers.\(layer).mlp.fc1.weight", [8, 8], .bf16))
        }
        model.tensors.append(Models.zeros("multi_modal_projector.mm_input_projection_weight", [8, 32], .bf16))
        return model
    }

    @Test("is a folder of the text class, with the names and settings of one")
    func folder() throws {
        let result = try TextOnly().apply(to: TextOnlyTests.model())
        #expect(result.config?["architectures"] == .array([.string("Gemma3ForCausalLM")]))
        #expect(result.config?["model_type"] == .string("gemma3_text"))
        #expect(result.config?["eos_token_id"] == .array([.int(1), .int(3)]))
        #expect(result.config?["num_hidden_layers"] == .int(DescribedModels.layers))
        #expect(result.config?["text_config"] == nil && result.config?["vision_config"] == nil)
        #expect(result.tensors.allSatisfy { $0.name.hasPrefix("model.") })
        #expect(result.tensor(named: "model.layers.5.self_attn.q_norm.weight") != nil)
        #expect(
            result.notes.contains {
                $0.hasSuffix("the language model: vision_tower (2 tensors), multi_modal_projector (1 tensor)")
            })
        try result.checkConsistency()
        _ = try ModelPlan(result)
        // Nothing is left to take out.
        expectRefusal("has nothing besides its language model") { try TextOnly().apply(to: result) }
    }

    @Test("is what GGUF gets, and a note says what is left out")
    func gguf() throws {
        let model = try TextOnlyTests.model()
        let result = try Convert(to: .gguf).apply(to: model)
        #expect(!result.tensors.contains { $0.name.contains("vision") || $0.name.contains("projector") })
        #expect(result.notes.contains { $0.contains("vision_tower (2 tensors)") })
        #expect(try ModelPlan(result).layers.count == DescribedModels.layers)
    }

    @Test("a tensor that is of no part that is known stops it")
    func unknown() throws {
        var model = try TextOnlyTests.model()
        model.tensors.append(Models.zeros("language_model.model.something.weight", [8, 8], .bf16))
        expectRefusal("'language_model.model.something.weight'") { try TextOnly().apply(to: model) }
        expectRefusal("'language_model.model.something.weight'") { try Convert(to: .gguf).apply(to: model) }
    }
}
