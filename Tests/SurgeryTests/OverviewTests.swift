import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing

@Suite("what inspect says of a model")
struct OverviewTests {
    @Test("bytes are added up by kind of tensor, by type and by layer")
    func sums() {
        let tensors = [
            Models.zeros("embed.weight", [4, 8], .f32), Models.zeros("m.layers.0.a.weight", [2, 8], .bf16),
            Models.zeros("m.layers.0.experts.0.w", [8], .bf16), Models.zeros("m.layers.0.experts.1.w", [8], .bf16),
            Models.zeros("m.layers.1.a.weight", [2, 8], .bf16), Models.zeros("m.layers.1.experts.0.w", [16], .bf16),
            Models.zeros("m.layers.12345678901.a.weight", [8], .bf16), Models.zeros("v2.layers.1x.w", [2], .f32),
        ]
        let sums = TensorSums(tensors, layers: LayerPattern(prefix: "m.layers.", count: 2))
        #expect(
            sums.kinds.map(\.name) == [
                "embed.weight", "m.layers.*.a.weight", "m.layers.*.experts.*.w", "m.layers.12345678901.a.weight",
                "v2.layers.1x.w",
            ])
        #expect(sums.kinds.map(\.count) == [1, 2, 3, 1, 1])
        #expect(sums.kinds.map(\.byteCount) == [128, 64, 64, 16, 8])
        #expect(sums.kinds.map(\.elementCount) == [32, 32, 32, 8, 2])
        #expect(sums.layerByteCounts == [64, 64])
        #expect(sums.types.map(\.dtype) == [.f32, .bf16] && sums.types.map(\.count) == [2, 6])
        #expect(sums.types.map(\.byteCount) == [136, 144])
    }

    @Test("the facts of a model are those of its configuration, in a folder and in GGUF")
    func facts() throws {
        // fixtures/kjv-7m/config.json
        let folder = try Models.fixture()
        for model in [folder, try Convert(to: .gguf).apply(to: folder)] {
            let facts = ModelFacts(model)
            #expect(facts.context == 1024 && facts.hidden == 256 && facts.feedForward == [512])
            #expect(facts.heads == [4] && facts.keyHeads == [2] && facts.headSize == [64])
            #expect(facts.vocabulary == 2048 && facts.isTied == true && facts.experts.isEmpty)
        }
    }

    @Test("a model of an unknown architecture has the sizes that its configuration states")
    func unknownFacts() throws {
        var model = try Models.folder(
            layers: 2,
            config: """
                {"architectures": ["OtherForCausalLM"], "text_config": {"hidden_size": 96, "num_attention_heads": 6,
                 "num_key_value_heads": [2, 3], "max_position_embeddings": 777, "tie_word_embeddings": true}}
                """)
        model.companions = [.init(name: "README.md", contents: Array("---\nlicense: mit\n---\n".utf8))]
        let facts = ModelFacts(model)
        #expect(facts.hidden == 96 && facts.heads == [6] && facts.keyHeads == [2, 3] && facts.context == 777)
        #expect(facts.isTied == true && facts.licence == "mit" && facts.vocabulary == nil)
        let file = ModelFacts(
            try Models.gguf("other", layers: 2, [("embedding_length", .u32(48)), ("expert_count", .u32(8))]))
        #expect(file.hidden == 48 && file.experts == [8] && file.heads.isEmpty)
    }

    @Test("an unknown architecture is compared with the nearest one: names, keys and shapes that it does not have")
    func explanation() throws {
        var model = try Models.small()
        model.architecture = nil
        model.config?["architectures"] = .array([.string("OtherForCausalLM")])
        model.config?["model_type"] = .string("other")
        model.config?["gate_temperature"] = .number("0.5")
        let wrong = try #require(model.tensors.firstIndex { $0.name == "model.layers.3.mlp.up_proj.weight" })
        model.tensors[wrong] = Models.zeros(model.tensors[wrong].name, [100, 256], .bf16)
        model.tensors += (0..<12).map { Models.zeros("model.layers.\($0).self_attn.gamma.weight", [256], .bf16) }
        let explanation = Explanation(model)
        #expect(explanation.architecture?.name == "llama" && !explanation.isOwn)
        // The fixture has 11 kinds of tensors.
        #expect(explanation.kindCount == 12 && explanation.knownKindCount == 11)
        #expect(explanation.names.map(\.name) == ["model.layers.*.self_attn.gamma.weight"])
        #expect(explanation.names.first?.count == 12)
        #expect(explanation.keys.map(\.key) == ["gate_temperature"])
        #expect(explanation.problems.count == 1 && explanation.problems.first?.count == 1)
        #expect(explanation.problems.first?.problem.contains("[100, 256]") == true)
    }

    @Test("a GGUF file of an unknown architecture is explained too")
    func explanationOfGGUF() throws {
        var model = try Convert(to: .gguf).apply(to: Models.small())
        let metadata = model.metadata
        model.metadata = GGUFMetadata()
        for pair in metadata.pairs {
            model.metadata["llama.".isPrefix(of: pair.key) ? "novel." + pair.key.dropFirst(6) : pair.key] = pair.value
        }
        model.metadata["general.architecture"] = .string("novel")
        model.metadata["novel.gamma"] = .f32(2)
        model.architecture = nil
        model.tensors.append(Models.zeros("blk.0.gamma.weight", [8], .f32))
        let explanation = Explanation(model)
        #expect(explanation.architecture?.gguf == "llama" && explanation.names.map(\.name) == ["blk.*.gamma.weight"])
        #expect(explanation.keys.map(\.key) == ["novel.gamma"])
    }
}

extension String {
    fileprivate func isPrefix(of text: String) -> Bool { text.hasPrefix(self) }
}
