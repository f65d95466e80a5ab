import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing

/// Where llama.cpp computes something else than its metadata, or its converter, say.
@Suite("what runtimes read, and what they do not")
struct RuntimeDifferenceTests {
    private static func folder(_ name: String) throws -> Checkpoint {
        try DescribedModels.folder(#require(Architecture.named(class: name)))
    }

    @Test("StableLM's layers are parallel where they have one norm, whatever the key says")
    func parallel() throws {
        var gguf = try Convert(to: .gguf).apply(to: Self.folder("StableLmForCausalLM"))
        #expect(gguf.metadata["stablelm.use_parallel_residual"] == .bool(false), "as the converter writes it")
        gguf.metadata["stablelm.use_parallel_residual"] = .bool(true)
        let back = try Convert(to: .folder).apply(to: gguf)
        #expect(back.config?["use_parallel_residual"] == .bool(false))
    }

    @Test("Llama 3's frequencies are refused where llama.cpp loads no tensor of them")
    func frequencies() throws {
        var model = try Self.folder("Qwen3ForCausalLM")
        var config = try #require(model.config)
        config["use_sliding_window"] = .bool(false)
        config["rope_scaling"] = try JSON.parse(
            #"{"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":32}"#
        )
        model.config = config
        expectRefusal("the rope scaling 'llama3' has no key and no tensor in GGUF's qwen3") {
            try Convert(to: .gguf).apply(to: model)
        }
    }

    @Test("what no known family computes is refused: attention in both directions, and several positions")
    func metadata() throws {
        let gguf = try Convert(to: .gguf).apply(to: Models.fixture())
        for (key, value, words) in [
            ("attention.causal", GGUFValue.bool(false), "attends in both directions"),
            ("rope.dimension_sections", .array(elementType: 5, [.i32(8), .i32(12)]), "rotates by several positions"),
        ] {
            var model = gguf
            model.metadata["llama." + key] = value
            expectRefusal(words) { try Convert(to: .folder).apply(to: model) }
        }
    }
}
