import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing

@Suite("quantizing")
struct QuantizeTests {
    @Test("every tensor gets llama-quantize's type", arguments: MixtureAnswers.all, Mixture.all.map(\.name))
    func types(answer: MixtureAnswers, mixture: String) throws {
        let settings = Quantize.Settings(try #require(Mixture.named(mixture)))
        try answer.expect(try #require(answer.types[mixture]), settings)
    }

    @Test("and with an importance matrix", arguments: MixtureAnswers.all)
    func importance(answer: MixtureAnswers) throws {
        try #require(answer.importance.count >= 8)
        for (mixture, expected) in answer.importance {
            var settings = Quantize.Settings(try #require(Mixture.named(mixture)))
            settings.hasImportance = true
            try answer.expect(expected, settings)
        }
    }

    @Test("and under its options", arguments: MixtureAnswers.asked)
    func asked(asked: MixtureAnswers.Asked) throws {
        try MixtureAnswers.named(asked.model).expect(asked.types, asked.settings())
    }

    @Test("the fixture asks for something")
    func complete() { #expect(MixtureAnswers.all.count >= 30 && MixtureAnswers.asked.count >= 20) }

    @Test(
        "what is asked for and changes nothing, or does not fit, is refused",
        arguments: [
            (
                "dense", "Q4_K_M", "attn_x=Q8_0", nil, nil,
                "the pattern 'attn_x' matches no tensor"
            ),
            (
                "dense", "Q4_K_M", "^output_norm=Q8_0", nil, nil,
                "the pattern '^output_norm' matches no tensor that is quantized; 'output_norm.weight' keeps its type"
            ),
            (
                "dense", "F16", "ffn=Q8_0", nil, nil,
                "F16 has one type for all weights and allows no type by name"
            ),
            (
                "tied", "F16", nil, "Q8_0", nil,
                "--output-type has no effect: there is no output matrix, or another option overrides it"
            ),
            (
                "tied", "Q4_K_M", nil, "Q8_0", "Q6_K",
                "--output-type has no effect: there is no output matrix, or another option overrides it"
            ),
            (
                "30 layers", "Q4_K_M", nil, nil, "Q6_K",
                "tensor 'token_embd.weight' has rows of 288 elements, which are not a multiple of the block size 256 of Q6_K"
            ),
        ] as [(String, String, String?, String?, String?, String)])
    func unused(
        model: String, mixture: String, byName: String?, output: String?, embedding: String?, message: String
    ) throws {
        var settings = Quantize.Settings(try #require(Mixture.named(mixture)))
        settings.byName = try byName.map { [try TypeByName($0)] } ?? []
        settings.output = try output.map(Quantize.encodedType(named:))
        settings.embedding = try embedding.map(Quantize.encodedType(named:))
        let model = try MixtureAnswers.named(model).model()
        expectRefusal(message) { try Quantize(settings).apply(to: model) }
    }

    @Test(
        "a type by name that is none is refused",
        arguments: [
            ("attn_v", "'attn_v' has no type"), ("=Q8_0", "the pattern '' is empty"),
            ("a=", "the type '' is not known"),
            ("a=b=Q8_0", "the type 'b=Q8_0' is not known"), ("a=IQ2_XXS", "the type IQ2_XXS cannot be encoded"),
            ("(=Q8_0", "the pattern '(' does not close a group"), ("a=I32", "the type I32 cannot be encoded"),
        ])
    func wrongTypeByName(text: String, message: String) {
        let error = #expect(throws: CheckpointError.self) { try TypeByName(text) }
        #expect(error?.problem == message)
    }

    @Test("a safetensors folder has no types of single tensors")
    func folderTypes() throws {
        var settings = Quantize.Settings(try #require(Mixture.named("F16")))
        settings.embedding = .f32
        let model = try Models.fixture()
        expectRefusal("types of single tensors can be chosen in GGUF only") { try Quantize(settings).apply(to: model) }
    }

    @Test("rules count in the order of the file when that is asked for")
    func fileOrder() throws {
        var model = try Models.gguf("llama", layers: 4)
        model.tensors = [3, 2, 1, 0].map { Models.zeros("blk.\($0).attn_v.weight", [256, 256]) }
        var settings = Quantize.Settings(try #require(Mixture.named("Q3_K_M")))
        #expect(try Quantize(settings).apply(to: model).tensors.map(\.dtype.name) == ["Q4_K", "Q4_K", "Q5_K", "Q5_K"])
        settings.keepsFileOrder = true
        #expect(try Quantize(settings).apply(to: model).tensors.map(\.dtype.name) == ["Q5_K", "Q5_K", "Q4_K", "Q4_K"])
    }

    @Test("fall-backs are named with what was wanted and what was used")
    func fallbacks() throws {
        let model = try MixtureAnswers.named("rows that 256 does not divide").model()
        let found = try Quantize(try #require(Mixture.named("q4_k_m"))).fallbacks(in: model)
        #expect(
            found.contains { $0.tensor == "blk.0.attn_q.weight" && $0.wanted == "Q4_K" && $0.used == "Q5_0" })
        let even = try MixtureAnswers.named("dense").model()
        #expect(try Quantize(try #require(Mixture.named("Q4_K_M"))).fallbacks(in: even).isEmpty)
    }

    @Test("the fixture is quantized, written and read back with every mixture", arguments: Mixture.all.map(\.name))
    func written(name: String) throws {
        let folder = TemporaryFolder()
        let mixture = try #require(Mixture.named(name))
        let gguf = try Convert(to: .gguf).apply(to: Models.fixture())
        let quantized = try Quantize(mixture).apply(to: gguf)
        let written = try CheckpointWriter(threads: 2).write(OutputPlan(quantized), to: folder("q.gguf"))
        #expect(written.metadata["general.file_type"] == .u32(mixture.fileType))
        #expect(written.tensor(named: "blk.3.ffn_up.weight")?.dtype == (name == "MXFP4_MOE" ? .q8_0 : mixture.base))
        #expect(written.parameterCount == gguf.parameterCount)
        // A second pass over the same types changes nothing.
        let again = try Quantize(mixture).apply(to: written)
        #expect(again.tensors.allSatisfy { $0.recipe.mappedRange != nil })
    }

    @Test("safetensors cannot hold a mixture of blocks")
    func safetensors() throws {
        let model = try Models.fixture()
        expectRefusal("Q4_K_M is a GGUF type, which a folder cannot store") {
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
        let wide = try Cast(to: .f32).apply(to: model)
        let back = try Cast(to: .bf16).apply(to: wide)
        for (index, original) in model.tensors.enumerated().prefix(12) {
            #expect(wide.tensors[index].recipe.mappedRange == nil)
            // What f32 shows is not computed again.
            #expect(back.tensors[index].recipe.mappedRange != nil)
            #expect(try Models.bytes(back.tensors[index]) == Models.bytes(original))
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
