import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing
import Weights

/// Weights that a folder stores in another form than GGUF, against values worked out by hand.
@Suite("norms stored as their distance from one, and transposed weights")
struct StoredFormTests {
    private static func model(_ name: String) throws -> Checkpoint {
        try DescribedModels.folder(try #require(Architecture.all.first { $0.name == name }))
    }

    /// The model with the values of a tensor.
    private static func with(
        _ model: Checkpoint, _ name: String, _ dtype: String, _ data: [UInt8]
    ) throws -> Checkpoint {
        var model = model
        let index = try #require(model.tensors.firstIndex { $0.name == name })
        let file = SafetensorsBytes([(name: "x", dtype: dtype, shape: model.tensors[index].shape, data: data)])
        let folder = TemporaryFolder()
        var tensor = try #require(try Checkpoint.open(folder.write("x.safetensors", file.bytes)).tensors.first)
        tensor.name = name
        model.tensors[index] = tensor
        return model
    }

    @Test("a norm is one more in GGUF, in f32, and comes back")
    func norms() throws {
        let name = "model.layers.2.input_layernorm.weight"
        // 0.5, -1.25 and 2^-7 in bf16, in turn.
        let words: [UInt16] = [0x3F00, 0xBFA0, 0x3C00]
        let data = (0..<32).flatMap { [UInt8(words[$0 % 3] & 0xFF), UInt8(words[$0 % 3] >> 8)] }
        let model = try StoredFormTests.with(StoredFormTests.model("gemma"), name, "BF16", data)
        let converted = try Convert(to: .gguf).apply(to: model)
        let norm = try #require(converted.tensor(named: "blk.2.attn_norm.weight"))
        #expect(norm.dtype == .f32 && norm.shape == [32])
        let expected: [Float] = [1.5, -0.25, 1.0078125]
        #expect(try Models.bytes(norm) == littleEndian((0..<32).map { expected[$0 % 3] }))
        let back = try Convert(to: .folder, dtype: .bf16).apply(to: converted)
        #expect(try Models.bytes(back.tensor(named: name)) == data)
    }

    @Test("a fused weight that is stored by columns has queries, keys and values as rows in GGUF, and comes back")
    func transposed() throws {
        let name = "transformer.h.1.attn.c_attn.weight"
        // Row i of 32, column j of 96 has the value 1000 i + j.
        let values = (0..<32).flatMap { row in (0..<96).map { Float(1000 * row + $0) } }
        let model = try StoredFormTests.with(StoredFormTests.model("gpt2"), name, "F32", littleEndian(values))
        let converted = try Convert(to: .gguf, dtype: .f32).apply(to: model)
        let fused = try #require(converted.tensor(named: "blk.1.attn_qkv.weight"))
        #expect(fused.shape == [96, 32])
        let expected = (0..<96).flatMap { row in (0..<32).map { Float(1000 * $0 + row) } }
        #expect(try Models.bytes(fused) == littleEndian(expected))
        let back = try Convert(to: .folder, dtype: .f32).apply(to: converted)
        #expect(try Models.bytes(back.tensor(named: name)) == littleEndian(values))
        // A forward pass asks for the keys, whichever container they are in.
        for (container, tensor) in [(model, name), (converted, "blk.1.attn_qkv.weight")] {
            let architecture = try #require(model.architecture)
            var container = container
            container.architecture = architecture
            let settings = Settings(container, architecture)
            let role = try #require(architecture.tensor(role: "attention_k"))
            let part = try #require(container.part(of: role)), stored = try #require(container.tensor(named: tensor))
            let keys = try settings.weight(part, of: stored, file: "")
            #expect(keys.shape == [32, 32])
            #expect(try keys.floats() == Array(expected[1024..<2048]))
        }
    }

    @Test("one norm a head is a matrix in GGUF")
    func stacked() throws {
        var model = try StoredFormTests.model("stablelm")
        model.config?["qk_layernorm"] = .bool(true)
        for layer in 0..<DescribedModels.layers {
            for (kind, heads) in [("q", 4), ("k", 2)] {
                for head in 0..<heads {
                    model.tensors.append(
                        Models.zeros(
                            "model.layers.\(layer).self_attn.\(kind)_layernorm.norms.\(head).weight", [8], .f32))
                }
            }
        }
        let name = "model.layers.3.self_attn.q_layernorm.norms.2.weight"
        let values = (0..<8).map { Float($0) }
        model = try StoredFormTests.with(model, name, "F32", littleEndian(values))
        let converted = try Convert(to: .gguf).apply(to: model)
        let norms = try #require(converted.tensor(named: "blk.3.attn_q_norm.weight"))
        #expect(norms.shape == [4, 8])
        #expect(
            try Models.bytes(norms)
                == littleEndian(Array(repeating: 0, count: 16) + values + Array(repeating: 0, count: 8)))
        let back = try Convert(to: .folder, dtype: .f32).apply(to: converted)
        #expect(try Models.bytes(back.tensor(named: name)) == littleEndian(values))
        #expect(back.config?["qk_layernorm"] == .bool(true))
    }

    @Test("what GGUF cannot say is refused by its key, with what runtimes would compute")
    func unsaid() throws {
        var model = try StoredFormTests.model("gemma2")
        model.config?["query_pre_attn_scalar"] = .int(224)
        expectRefusal("'query_pre_attn_scalar' is 224, which GGUF's gemma2 cannot say: runtimes compute with 256") {
            try Convert(to: .gguf).apply(to: model)
        }
        // llama.cpp computes windows of 64 layers only, and rotates all layers of a model without.
        model = try StoredFormTests.model("exaone4")
        model.config?["sliding_window"] = .int(16)
        expectRefusal(
            "'sliding_window' gives windows to 6 layers, and llama.cpp computes exaone4 with windows when it has 64"
        ) {
            try Convert(to: .gguf).apply(to: model)
        }
        model = try StoredFormTests.model("gpt2")
        model.config?["scale_attn_by_inverse_layer_idx"] = .bool(true)
        expectRefusal("'scale_attn_by_inverse_layer_idx' is true; for gpt2 resect computes only false") {
            try Convert(to: .gguf).apply(to: model)
        }
        model = try StoredFormTests.model("cohere")
        model.config?["tie_word_embeddings"] = .bool(false)
        model.tensors.append(Models.zeros("lm_head.weight", [4, 32], .bf16))
        expectRefusal("'lm_head.weight' has no GGUF name in the architecture 'cohere'") {
            try Convert(to: .gguf).apply(to: model)
        }
    }

    @Test("a bias that only some layers have is missing in the others")
    func someLayers() throws {
        var model = try Convert(to: .gguf).apply(to: StoredFormTests.model("starcoder2"))
        model.tensors.removeAll { $0.name == "blk.4.ffn_up.bias" }
        expectRefusal("'blk.4.ffn_up.bias'") {
            try model.checkConsistency()
            return model
        }
    }
}
