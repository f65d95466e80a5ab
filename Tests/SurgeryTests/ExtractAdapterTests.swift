import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing

@Suite("adapters extracted from two models")
struct ExtractAdapterTests {
    private static func tensor(_ name: String, _ shape: [Int], _ seed: UInt64) -> Tensor {
        var generator = SeededGenerator(seed: seed)
        return Trained.tensor(name, shape, generator.floats(shape.reduce(1, *)))
    }

    /// Two layers with an embedding, norms, biases and an output matrix; the seed of a tensor is that of its index, unless
    /// it is among those that the training changed.
    private static func model(
        changing changed: [String] = [], layers: Int = 2, leavingOut left: [String] = [], config: String = "{}"
    ) throws -> Checkpoint {
        var shapes: [(String, [Int])] = [("model.embed_tokens.weight", [12, 8])]
        for layer in 0..<layers {
            let prefix = "model.layers.\(layer)."
            shapes += [
                (prefix + "input_layernorm.weight", [8]), (prefix + "self_attn.q_proj.weight", [6, 8]),
                (prefix + "self_attn.q_proj.bias", [6]), (prefix + "mlp.down_proj.weight", [8, 10]),
            ]
        }
        shapes += [("model.norm.weight", [8]), ("lm_head.weight", [12, 8])]
        let tensors = shapes.enumerated().compactMap { index, item -> Tensor? in
            if left.contains(item.0) { return nil }
            return tensor(item.0, item.1, UInt64(index) + (changed.contains(item.0) ? 1000 : 0))
        }
        var checkpoint = try Trained.model(tensors, config: config)
        checkpoint.config?["num_hidden_layers"] = .int(layers)
        return checkpoint
    }

    private static func extracted(
        _ base: Checkpoint, _ tuned: Checkpoint, _ ranks: RankChoice = RankChoice(rank: 6), dtype: DType = .f32
    ) throws -> Checkpoint {
        try ExtractAdapter(ranks: ranks, dtype: dtype).adapter(from: base, to: tuned, baseName: "the/base", threads: 2)
            .adapter
    }

    private static func config(_ adapter: Checkpoint) throws -> JSONObject {
        let contents = adapter.companion("adapter_config.json")?.contents ?? []
        return try #require(try JSON.parse(String(decoding: contents, as: UTF8.self)).object)
    }

    private static func texts(_ value: JSON?) -> [String]? { value?.array?.compactMap(\.string) }

    @Test("weights of Linears that differ get a pair under PEFT's names; what is the same gets none")
    func pairs() throws {
        let names = ["model.layers.0.self_attn.q_proj.weight", "model.layers.1.self_attn.q_proj.weight"]
        let base = try ExtractAdapterTests.model(), tuned = try ExtractAdapterTests.model(changing: names)
        let adapter = try ExtractAdapterTests.extracted(base, tuned)
        #expect(
            adapter.tensors.map(\.name)
                == [0, 1].flatMap { layer in
                    ["A", "B"].map { "base_model.model.model.layers.\(layer).self_attn.q_proj.lora_\($0).weight" }
                })
        #expect(adapter.tensors.map(\.shape) == [[6, 8], [6, 6], [6, 8], [6, 6]])
        let config = try ExtractAdapterTests.config(adapter)
        #expect(ExtractAdapterTests.texts(config["target_modules"]) == ["q_proj"])
        #expect(config["r"] == .int(6) && config["lora_alpha"] == .int(6) && config["bias"] == .string("none"))
        #expect(config["modules_to_save"] == .null && config["fan_in_fan_out"] == .bool(false))
        #expect(config["base_model_name_or_path"] == .string("the/base"))
        #expect(config["peft_type"] == .string("LORA") && config["task_type"] == .string("CAUSAL_LM"))
        #expect(adapter.content == .adapter(kind: "lora", base: "the/base"))
        // All six ranks of a matrix of six rows: base and adapter are the trained model.
        let (before, after) = (
            try Models.floats(base.tensor(named: names[0])), try Models.floats(tuned.tensor(named: names[0]))
        )
        for (index, change) in try Trained.product(adapter).enumerated() {
            #expect(abs(before[index] + change - after[index]) < 1e-5)
        }
    }

    @Test("an adapter of one layer alone names its module in full")
    func oneLayer() throws {
        let tuned = try ExtractAdapterTests.model(changing: ["model.layers.1.mlp.down_proj.weight"])
        let config = try ExtractAdapterTests.config(
            try ExtractAdapterTests.extracted(ExtractAdapterTests.model(), tuned))
        #expect(ExtractAdapterTests.texts(config["target_modules"]) == ["1.mlp.down_proj"])
    }

    @Test("norms, embeddings and the output matrix that differ are stored whole, and said")
    func whole() throws {
        let changed = [
            "model.layers.0.mlp.down_proj.weight", "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight",
            "model.layers.0.input_layernorm.weight",
        ]
        let tuned = try ExtractAdapterTests.model(changing: changed)
        let adapter = try ExtractAdapterTests.extracted(ExtractAdapterTests.model(), tuned)
        for name in changed.dropFirst() {
            let stored = try Models.floats(adapter.tensor(named: "base_model.model." + name))
            #expect(try stored == Models.floats(tuned.tensor(named: name)) && !stored.isEmpty)
        }
        // PEFT looks for names that end so: `norm` would be input_layernorm too, and that is in both layers.
        #expect(
            try ExtractAdapterTests.texts(ExtractAdapterTests.config(adapter)["modules_to_save"])
                == ["0.input_layernorm", "embed_tokens", "lm_head", "model.norm"])
        #expect(
            adapter.notes == [
                "4 modules that differ and are no Linear of a layer are stored whole, 832 bytes: model.embed_tokens, "
                    + "model.layers.0.input_layernorm, model.norm, lm_head"
            ])
    }

    @Test("an embedding that makes the logits too is stored for both")
    func tied() throws {
        let config = #"{"vocab_size":12,"tie_word_embeddings":true}"#, head = "lm_head.weight"
        let changed = ["model.embed_tokens.weight", "model.layers.0.mlp.down_proj.weight"]
        let base = try ExtractAdapterTests.model(leavingOut: [head], config: config)
        let tuned = try ExtractAdapterTests.model(changing: changed, leavingOut: [head], config: config)
        let adapter = try ExtractAdapterTests.extracted(base, tuned)
        let rows = try Models.floats(tuned.tensor(named: changed[0]))
        for name in ["model.embed_tokens.weight", head] {
            #expect(try Models.floats(adapter.tensor(named: "base_model.model." + name)) == rows)
        }
        // A training that saved the matrix twice is the same model.
        var doubled = tuned
        var output = try #require(tuned.tensor(named: changed[0]))
        output.name = head
        doubled.tensors.append(output)
        let other = try ExtractAdapterTests.extracted(base, doubled)
        #expect(other.tensors.map(\.name) == adapter.tensors.map(\.name))
    }

    @Test("a bias that differs brings the biases of all changed modules along")
    func biases() throws {
        let changed = [
            "model.layers.0.self_attn.q_proj.weight", "model.layers.1.self_attn.q_proj.weight",
            "model.layers.1.self_attn.q_proj.bias",
        ]
        let tuned = try ExtractAdapterTests.model(changing: changed)
        let adapter = try ExtractAdapterTests.extracted(ExtractAdapterTests.model(), tuned)
        #expect(try ExtractAdapterTests.config(adapter)["bias"] == .string("lora_only"))
        for layer in 0..<2 {
            let name = "model.layers.\(layer).self_attn.q_proj."
            let stored = try Models.floats(adapter.tensor(named: "base_model.model.\(name)base_layer.bias"))
            #expect(try stored == Models.floats(tuned.tensor(named: name + "bias")))
        }
    }

    @Test("ranks that differ are in the patterns, with alphas that keep the scale at 1")
    func patterns() throws {
        let name = "model.layers.1.self_attn.q_proj.weight"
        let base = try ExtractAdapterTests.model()
        var tuned = try ExtractAdapterTests.model(changing: ["model.layers.0.mlp.down_proj.weight"])
        // A change of one element has rank 1.
        var values = try Models.floats(base.tensor(named: name))
        values[3] += 1
        let index = try #require(tuned.tensors.firstIndex { $0.name == name })
        tuned.tensors[index] = Trained.tensor(name, [6, 8], values)
        let config = try ExtractAdapterTests.config(ExtractAdapterTests.extracted(base, tuned))
        #expect(config["r"] == .int(6))
        for key in ["rank_pattern", "alpha_pattern"] {
            #expect(config[key] == .object(JSONObject([("layers.1.self_attn.q_proj", .int(1))])))
        }
    }

    @Test("weights whose rows are inputs give turned matrices")
    func conv1D() throws {
        // As in GPT-2: c_fc has a bias of its columns, c_proj is square.
        func model(_ seed: UInt64) throws -> Checkpoint {
            try Trained.model([
                ExtractAdapterTests.tensor("h.0.mlp.c_fc.weight", [4, 7], seed),
                Trained.tensor("h.0.mlp.c_fc.bias", [7], Array(repeating: 0, count: 7)),
                ExtractAdapterTests.tensor("h.0.attn.c_proj.weight", [4, 4], seed + 1),
            ])
        }
        let (base, tuned) = (try model(1), try model(5))
        let adapter = try ExtractAdapterTests.extracted(base, tuned)
        #expect(try ExtractAdapterTests.config(adapter)["fan_in_fan_out"] == .bool(true))
        #expect(adapter.tensors.map(\.shape) == [[4, 4], [7, 4], [4, 4], [4, 4]])
        let (before, after) = (try Models.floats(base.tensors[0]), try Models.floats(tuned.tensors[0]))
        for (index, change) in try Trained.product(adapter).enumerated() {
            // The product is [outputs, inputs]; the weights are [inputs, outputs].
            let other = index % 4 * 7 + index / 4
            #expect(abs(before[other] + change - after[other]) < 1e-5)
        }
    }

    @Test("matrices in bf16 are those in f32, rounded once")
    func dtype() throws {
        let tuned = try ExtractAdapterTests.model(changing: ["model.layers.1.mlp.down_proj.weight"])
        let base = try ExtractAdapterTests.model()
        let exact = try ExtractAdapterTests.extracted(base, tuned)
        let rounded = try ExtractAdapterTests.extracted(base, tuned, dtype: .bf16)
        #expect(rounded.tensors.map(\.dtype) == [.bf16, .bf16])
        for (a, b) in zip(exact.tensors, rounded.tensors) {
            let bytes = try Models.bytes(b)
            let halves = stride(from: 0, to: bytes.count, by: 2).map { UInt16(bytes[$0]) | UInt16(bytes[$0 + 1]) << 8 }
            for (value, half) in zip(try Models.floats(a), halves) {
                let bits = value.bitPattern
                #expect(UInt16(truncatingIfNeeded: (bits + 0x7FFF + (bits >> 16 & 1)) >> 16) == half)
            }
        }
    }

    @Test("a written adapter reads back as it was planned")
    func written() throws {
        let tuned = try ExtractAdapterTests.model(changing: [
            "model.layers.1.mlp.down_proj.weight", "model.norm.weight",
        ])
        let adapter = try ExtractAdapterTests.extracted(ExtractAdapterTests.model(), tuned)
        let folder = TemporaryFolder()
        let written = try CheckpointWriter(threads: 2).write(OutputPlan(adapter), to: folder("a"))
        for (tensor, planned) in zip(written.tensors, adapter.tensors) {
            #expect(tensor.name == planned.name && tensor.shape == planned.shape)
            #expect(try Models.bytes(tensor) == Models.bytes(planned))
        }
        #expect(written.tensors.count == 3)
        #expect(Files.names(folder("a")) == ["adapter_config.json", "adapter_model.safetensors"])
        #expect(written.content == .adapter(kind: "lora", base: "the/base"))
    }

    @Test("the base with the adapter merged in is the trained model")
    func merged() throws {
        let changed = [
            "model.layers.0.self_attn.q_proj.weight", "model.layers.0.self_attn.q_proj.bias",
            "model.layers.1.mlp.down_proj.weight", "model.layers.1.input_layernorm.weight", "model.norm.weight",
            "model.embed_tokens.weight", "lm_head.weight",
        ]
        let base = try ExtractAdapterTests.model(), tuned = try ExtractAdapterTests.model(changing: changed)
        let adapter = try ExtractAdapterTests.extracted(base, tuned, RankChoice(rank: 8))
        let folder = TemporaryFolder()
        try CheckpointWriter(threads: 2).write(OutputPlan(adapter), to: folder("a"))
        let merged = try MergeAdapters([.init(Adapter(path: folder("a")))]).apply(to: base)
        #expect(merged.tensors.map(\.name) == tuned.tensors.map(\.name))
        for (found, wanted) in zip(merged.tensors, tuned.tensors) {
            let (found, wanted) = (try Models.floats(found), try Models.floats(wanted))
            #expect(zip(found, wanted).allSatisfy { abs($0 - $1) < 1e-5 } && found.count == wanted.count)
        }
    }

    // MARK: what is refused

    @Test("models that do not fit together are refused with the first mismatch")
    func mismatches() throws {
        let base = try ExtractAdapterTests.model()
        func expect(_ message: String, _ tuned: Checkpoint) {
            expectRefusal(message) { try ExtractAdapterTests.extracted(base, tuned) }
        }
        expect("has the same weights as \(base.path); there is nothing to extract", base)
        expect(
            "differs from \(base.path) only in model.norm, and an adapter needs a weight of a layer's Linear",
            try ExtractAdapterTests.model(changing: ["model.norm.weight"]))
        expect(
            "lacks the tensor 'model.layers.1.input_layernorm.weight' of \(base.path), and 3 others",
            try ExtractAdapterTests.model(layers: 1))
        var wide = base
        wide.tensors[0] = Models.zeros("model.embed_tokens.weight", [13, 8], .f32)
        expect("tensor 'model.embed_tokens.weight' is [13, 8], and [12, 8] in", wide)
        var other = base, named = base
        other.config?["architectures"] = .array([.string("Other")])
        named.config?["architectures"] = .array([.string("Llama")])
        expectRefusal("is Other, and \(base.path) is Llama") { try ExtractAdapterTests.extracted(named, other) }
    }

    @Test("a parameter that is neither a Linear's nor that of a whole module is refused by name")
    func parameters() throws {
        let sinks = "model.layers.0.self_attn.sinks"
        func model(_ seed: UInt64) throws -> Checkpoint {
            var checkpoint = try ExtractAdapterTests.model()
            checkpoint.tensors.append(ExtractAdapterTests.tensor(sinks, [4], seed))
            return checkpoint
        }
        expectRefusal("tensor '\(sinks)' is [4] and differs from") {
            try ExtractAdapterTests.extracted(model(1), model(2))
        }
    }

    @Test("settings and tokenizers that differ are named, because an adapter does not change them")
    func settings() throws {
        let changed = ["model.layers.1.mlp.down_proj.weight"]
        let base = try ExtractAdapterTests.model(config: #"{"rope_theta":1e4,"use_cache":true}"#)
        var tuned = try ExtractAdapterTests.model(
            changing: changed, config: #"{"rope_theta":1e6,"use_cache":false,"extra":1}"#)
        tuned.companions.append(.init(name: "chat_template.jinja", contents: Array("{{ messages }}".utf8)))
        tuned.companions.append(.init(name: "README.md", contents: []))
        #expect(
            try ExtractAdapterTests.extracted(base, tuned).notes == [
                "config.json differs in rope_theta, extra, and an adapter changes no settings",
                "\(tuned.path) has other tokenizer files than the base, and an adapter holds none: chat_template.jinja",
            ])
    }
}
