import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing

@Suite("quantizing")
struct QuantizeTests {
    /// What llama-quantize gave the tensors of small models: fixtures/mixtures.json.
    static let answers: JSONObject = {
        let text = String(decoding: Files.read(Fixture.path("mixtures.json")), as: UTF8.self)
        return (try? JSON.parse(text))?.object ?? JSONObject()
    }()

    /// A model with the shapes of an answer.
    private static func model(_ answer: JSON) throws -> Checkpoint {
        func number(_ key: String) -> GGUFValue { .u32(UInt32(answer[key]?.int ?? 0)) }
        var model = try Models.gguf("llama", layers: answer["layers"]?.int ?? 0)
        model.metadata["llama.attention.head_count"] = number("heads")
        model.metadata["llama.attention.head_count_kv"] = number("kv")
        if answer["experts"] != .int(0) { model.metadata["llama.expert_count"] = number("experts") }
        model.tensors = (answer["tensors"]?.object?.members ?? JSONObject().members).map { name, shape in
            let shape = (shape.array ?? []).compactMap(\.int)
            let isPlain = shape.count == 1 || name.contains("gate_inp")
            return Models.zeros(name, shape, isPlain ? .f32 : .f16)
        }
        return model
    }

    @Test(
        "every tensor gets llama-quantize's type", arguments: answers.keys,
        ["F16", "BF16", "Q8_0", "Q4_0", "Q4_K_S", "Q4_K_M"])
    func types(name: String, mixture: String) throws {
        let answer = try #require(QuantizeTests.answers[name])
        let expected = (answer["types"]?[mixture]?.array ?? []).compactMap(\.string)
        let result = try Quantize(try #require(Mixture.named(mixture))).apply(to: QuantizeTests.model(answer))
        try #require(result.tensors.count == expected.count)
        for (tensor, type) in zip(result.tensors, expected) {
            #expect(tensor.dtype.name == type, "\(tensor.name)")
        }
    }

    @Test("fall-backs are named with what was wanted and what was used")
    func fallbacks() throws {
        let answer = try #require(QuantizeTests.answers["odd rows"])
        let model = try QuantizeTests.model(answer)
        let found = Quantize(try #require(Mixture.named("q4_k_m"))).fallbacks(in: model)
        #expect(found.contains { $0 == ("blk.0.attn_q.weight", "Q4_K", "Q5_0") })
        let even = try QuantizeTests.model(try #require(QuantizeTests.answers["dense"]))
        #expect(Quantize(try #require(Mixture.named("Q4_K_M"))).fallbacks(in: even).isEmpty)
    }

    @Test("the fixture is quantized, written and read back with every mixture", arguments: Mixture.all.map(\.name))
    func written(name: String) throws {
        let folder = TemporaryFolder()
        let mixture = try #require(Mixture.named(name))
        let gguf = try Convert(to: .gguf).apply(to: Models.fixture())
        let quantized = try Quantize(mixture).apply(to: gguf)
        let written = try CheckpointWriter(threads: 2).write(OutputPlan(quantized), to: folder("q.gguf"))
        #expect(written.metadata["general.file_type"] == .u32(mixture.fileType))
        #expect(written.tensor(named: "blk.3.ffn_up.weight")?.dtype == mixture.base)
        #expect(written.parameterCount == gguf.parameterCount)
        // A second pass over the same types changes nothing.
        let again = try Quantize(mixture).apply(to: written)
        #expect(again.tensors.allSatisfy { $0.recipe.mappedRange != nil })
    }

    @Test("safetensors cannot hold a mixture of blocks")
    func safetensors() throws {
        let model = try Models.fixture()
        expectRefusal("Q4_K_M is a GGUF type, which safetensors cannot hold") {
            try Quantize(try #require(Mixture.named("Q4_K_M"))).apply(to: model)
        }
    }

    @Test("a type that no kernel decodes is named")
    func undecodable() throws {
        var model = try Models.gguf("any", layers: 1)
        model.tensors.append(Models.zeros("blk.0.ffn_up.weight", [2, 256], try #require(DType(named: "IQ2_XXS"))))
        expectRefusal("tensor 'blk.0.ffn_up.weight' has the type IQ2_XXS, which cannot be decoded") {
            try Quantize(try #require(Mixture.named("Q8_0"))).apply(to: model)
        }
    }

    @Test("mixtures are found in any case, and by no other name")
    func names() {
        #expect(Mixture.named("q4_k_m")?.name == "Q4_K_M")
        #expect(Mixture.named("Q4") == nil)
        #expect(Set(Mixture.all.map(\.name)).count == Mixture.all.count)
        #expect(Set(Mixture.all.map(\.fileType)).count == Mixture.all.count)
    }
}

@Suite("casting")
struct CastTests {
    @Test("bf16 to f32 and back is the identity")
    func identity() throws {
        let model = try Models.fixture()
        let back = try model.applying([Cast(to: .f32), Cast(to: .bf16)])
        for (tensor, original) in zip(back.tensors, model.tensors).prefix(12) {
            #expect(tensor.recipe.mappedRange == nil)
            #expect(try Models.bytes(tensor) == Models.bytes(original))
        }
        #expect(back.config == model.config)
    }

    @Test("a cast to the type that is there touches nothing")
    func nothing() throws {
        let model = try Cast(to: .bf16).apply(to: Models.fixture())
        #expect(model.tensors.allSatisfy { $0.recipe.mappedRange != nil })
    }

    @Test(
        "the configuration names the new type, under the key that it has",
        arguments: [("dtype", "F16", "float16"), ("torch_dtype", "F32", "float32")])
    func config(key: String, type: String, name: String) throws {
        var model = try Models.fixture()
        model.config?["dtype"] = nil
        model.config?[key] = .string("bfloat16")
        let result = try Cast(to: try #require(DType(named: type))).apply(to: model)
        #expect(result.config?[key] == .string(name))
        #expect(result.config?.count == model.config?.count)
    }

    @Test("integers are left alone, and norms stay in F32 in GGUF")
    func kept() throws {
        var model = try Models.gguf("any", layers: 1)
        model.tensors = [
            Models.zeros("blk.0.ids", [4], try #require(DType(named: "I32"))),
            Models.zeros("blk.0.attn_norm.weight", [4], .bf16),
            Models.zeros("blk.0.w.weight", [4, 4], .f32), Models.zeros("blk.0.w.bias", [4], .f32),
        ]
        let result = try Cast(to: .f16).apply(to: model)
        #expect(result.tensors.map(\.dtype.name) == ["I32", "F32", "F16", "F32"])
        #expect(result.metadata["general.file_type"] == .u32(1))
    }

    @Test("a quantized model is dequantized")
    func dequantize() throws {
        let gguf = try Convert(to: .gguf).apply(to: Models.fixture())
        let quantized = try Quantize(try #require(Mixture.named("Q8_0"))).apply(to: gguf)
        let back = try Cast(to: .f32).apply(to: quantized)
        let name = "blk.0.ffn_up.weight"
        let source = try Models.bytes(try Cast(to: .f32).apply(to: gguf).tensor(named: name))
        let found = try Models.bytes(back.tensor(named: name))
        try #require(source.count == found.count)
        let differences = source.withUnsafeBytes { a in
            found.withUnsafeBytes { b in
                zip(a.bindMemory(to: Float.self), b.bindMemory(to: Float.self)).map { abs($0 - $1) }
            }
        }
        #expect((differences.max() ?? 1) < 0.01)
    }
}
