import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing

@Suite("converting")
struct ConvertTests {
    private static func plan(_ form: Checkpoint.Form, _ change: (inout Checkpoint) -> Void = { _ in }) throws
        -> Checkpoint
    {
        var model = try Models.fixture()
        change(&model)
        return try Convert(to: form).apply(to: model)
    }

    @Test("HF to GGUF and back is the same model, bytes, configuration and tokenizer")
    func thereAndBack() throws {
        let folder = TemporaryFolder()
        let model = try Models.fixture()
        let writer = CheckpointWriter(threads: 2)
        let gguf = try writer.write(OutputPlan(ConvertTests.plan(.gguf)), to: folder("m.gguf"))
        try gguf.checkConsistency()
        let back = try writer.write(
            OutputPlan(Convert(to: .folder, configVersion: .oldest).apply(to: gguf)), to: folder("back"))
        #expect(Set(back.tensors.map(\.name)) == Set(model.tensors.map(\.name)))
        for tensor in model.tensors {
            let again = try #require(back.tensor(named: tensor.name))
            #expect(again.shape == tensor.shape && again.dtype == tensor.dtype)
            #expect(try Models.bytes(again) == Models.bytes(tensor), "\(tensor.name)")
        }
        var config = try #require(back.config)
        // What transformers 5 calls the type.
        (config["dtype"], config["torch_dtype"]) = (config["torch_dtype"], nil)
        #expect(config["pad_token_id"] == .null)
        config["pad_token_id"] = nil
        #expect(RopeScalingTests.sorted(config) == RopeScalingTests.sorted(try #require(model.config)))
        var vocabulary = try Vocabulary(checkpoint: back)
        vocabulary.addsSpacePrefix = nil
        #expect(try vocabulary == Vocabulary(checkpoint: model))
    }

    @Test("the GGUF of the fixture has llama.cpp's names and numbers")
    func metadata() throws {
        let gguf = try ConvertTests.plan(.gguf)
        let expected: [(String, GGUFValue)] = [
            ("general.architecture", .string("llama")), ("general.name", .string("Kjv 7m")),
            ("general.basename", .string("kjv")), ("general.size_label", .string("7M")),
            ("llama.block_count", .u32(12)),
            ("llama.context_length", .u32(1024)), ("llama.embedding_length", .u32(256)),
            ("llama.feed_forward_length", .u32(512)),
            ("llama.attention.head_count", .u32(4)), ("llama.attention.head_count_kv", .u32(2)),
            ("llama.rope.freq_base", .f32(10000)),
            ("llama.attention.layer_norm_rms_epsilon", .f32(1e-5)), ("llama.vocab_size", .u32(2048)),
            ("llama.rope.dimension_count", .u32(64)),
            ("general.file_type", .u32(32)), ("tokenizer.ggml.model", .string("gpt2")),
            ("tokenizer.ggml.pre", .string("gpt-2")),
        ]
        for (key, value) in expected { #expect(gguf.metadata[key] == value, "\(key)") }
        #expect(gguf.tensor(named: "blk.11.ffn_down.weight")?.shape == [256, 512])
        #expect(gguf.tensor(named: "blk.0.attn_norm.weight")?.dtype == .f32)
        #expect(gguf.tensor(named: "output.weight") == nil)
    }

    @Test("rows of q and k are interleaved, all others stay")
    func rows() throws {
        let model = try Models.fixture()
        let gguf = try ConvertTests.plan(.gguf)
        let source = try Models.bytes(model.tensor(named: "model.layers.0.self_attn.k_proj.weight"))
        let target = try Models.bytes(gguf.tensor(named: "blk.0.attn_k.weight"))
        // Row 1 of a head of 64 rows is its row 32.
        #expect(target[512..<1024] == source[32 * 512..<33 * 512])
        let value = gguf.tensor(named: "blk.0.attn_v.weight")
        #expect(try Models.bytes(value) == Models.bytes(model.tensor(named: "model.layers.0.self_attn.v_proj.weight")))
    }

    @Test("a folder becomes a single file, and neither GGUF nor a folder comes of a single file")
    func single() throws {
        let folder = TemporaryFolder()
        let single = try CheckpointWriter(threads: 1).write(
            OutputPlan(ConvertTests.plan(.safetensors)), to: folder("m.safetensors"))
        #expect(folder.names == ["m.safetensors"])
        #expect(single.byteCount == (try Models.fixture()).byteCount)
        for form in [Checkpoint.Form.gguf, .folder] {
            expectRefusal("has tensors without a configuration") { try Convert(to: form).apply(to: single) }
        }
    }

    @Test(
        "a configuration that lies is refused",
        arguments: [
            ("vocab_size", "4294967295", "'vocab_size' is missing or no positive whole number below 2,147,483,648"),
            (
                "vocab_size", "4096",
                "'model.embed_tokens.weight' has the shape [2048, 256]; the configuration asks for [4096, 256]"
            ),
            ("tie_word_embeddings", "false", "tensor 'lm_head.weight' is missing"),
            ("attention_bias", "true", "tensor 'model.layers.0.self_attn.q_proj.bias' is missing"),
            ("hidden_act", "\"relu\"", "'hidden_act' is 'relu', which is not known for llama"),
            ("vocab_size", "-1", "'vocab_size' is missing or no positive whole number"),
            ("hidden_size", "0", "'hidden_size' is missing or no positive whole number"),
            ("num_attention_heads", "3", "has 3 heads of 64 over 2 key heads, which do not fit"),
            (
                "num_attention_heads", "256",
                "'model.layers.0.self_attn.q_proj.weight' has the shape [256, 256]; the configuration asks for [16384, 256]"
            ),
            ("num_attention_heads", "99999999999", "'num_attention_heads' is missing"),
            ("num_key_value_heads", "\"2\"", "'num_key_value_heads' is missing"),
            ("max_position_embeddings", "1e30", "'max_position_embeddings' is missing"),
            ("head_dim", "-64", "'head_dim' is missing"),
            (
                "rope_scaling", #"{"rope_type":"llama3","factor":0}"#,
                "the rope scaling 'llama3' has no positive 'factor'"
            ),
            (
                "rope_scaling", #"{"rope_type":"linear","factor":1e999}"#,
                "the rope scaling 'linear' has no positive 'factor'"
            ),
            ("rope_scaling", #"{"factor":2.0}"#, "'rope_scaling' has 'factor' and no type"),
            (
                "rope_scaling",
                #"{"rope_type":"yarn","factor":4.0,"original_max_position_embeddings":64,"mscale":1.0,"mscale_all_dim":0.5}"#,
                "the rope scaling 'yarn' has 'mscale', which GGUF's llama has no key for"
            ),
            (
                "rope_scaling",
                #"{"rope_type":"yarn","factor":4.0,"original_max_position_embeddings":64,"truncate":false}"#,
                "the rope scaling 'yarn' has 'truncate'"
            ),
            (
                "rope_parameters", #"{"full_attention":{"rope_type":"default"}}"#,
                "'rope_parameters' has an embedding of its own for 'full_attention' layers"
            ),
            ("rope_scaling", #"{"rope_type":"longrope"}"#, "the rope scaling 'longrope' has no list 'short_factor'"),
            ("quantization_config", #"{"quant_method":"eetq"}"#, "is quantized with eetq"),
        ])
    func lies(key: String, value: String, message: String) throws {
        let json = try JSON.parse(value)
        expectRefusal(message) { try ConvertTests.plan(.gguf) { $0.config?[key] = json } }
    }

    @Test(
        "heads of a size that no model has are refused before a table is made",
        arguments: ["9223372036854775807", "0", "65538"])
    func headSize(value: String) throws {
        let size = try JSON.parse(value)
        let scaling = try JSON.parse(
            #"{"rope_type":"llama3","factor":8,"low_freq_factor":1,"high_freq_factor":4,"original_max_position_embeddings":8192}"#
        )
        let message = value == "65538" ? "has heads of the size" : "'head_dim' is missing or no positive whole number"
        expectRefusal(message) {
            try ConvertTests.plan(.gguf) {
                $0.config?["head_dim"] = size
                $0.config?["rope_scaling"] = scaling
            }
        }
        var gguf = try ConvertTests.plan(.gguf)
        gguf.metadata["llama.attention.key_length"] = .u64(UInt64(value) ?? 0)
        expectRefusal(value == "65538" ? "has 4 heads of 65538" : "'llama.attention.key_length' is missing or no") {
            try Convert(to: .folder).apply(to: gguf)
        }
    }

    @Test("tensors that nobody has named, or without rows to reorder, are refused")
    func tensors() throws {
        expectRefusal("tensor 'model.layers.0.mystery' has no GGUF name") {
            try ConvertTests.plan(.gguf) { $0.tensors.append(Models.zeros("model.layers.0.mystery", [2])) }
        }
        let name = "model.layers.0.self_attn.q_proj.weight"
        for shape in [[], [0, 256], [4, 1], [8, 2, 16]] {
            expectRefusal("tensor '\(name)'") {
                try ConvertTests.plan(.gguf) { model in
                    model.tensors = model.tensors.map { $0.name == name ? Models.zeros(name, shape) : $0 }
                }
            }
        }
        expectRefusal("the class 'Other' is not a causal language model that resect knows, so its tensors") {
            try ConvertTests.plan(.gguf) {
                $0.architecture = nil
                $0.config?["architectures"] = .array([.string("Other")])
            }
        }
    }

    @Test("a bias follows its matrix, there and back")
    func bias() throws {
        var model = try Models.fixture()
        let values = (0..<256).map { Float($0) }
        let folder = TemporaryFolder()
        let file = SafetensorsBytes([
            (name: "model.layers.0.self_attn.q_proj.bias", dtype: "F32", shape: [256], data: littleEndian(values))
        ])
        let bias = try #require(try Checkpoint.open(folder.write("b.safetensors", file.bytes)).tensors.first)
        model.tensors.append(bias)
        var config = try #require(model.config)
        config["attention_bias"] = .bool(true)
        model.config = config
        for layer in 0..<model.layerCount {
            for module in ["q_proj", "k_proj", "v_proj", "o_proj"] where layer > 0 || module != "q_proj" {
                let name = "model.layers.\(layer).self_attn.\(module)"
                let rows = try #require(model.tensor(named: name + ".weight")).shape[0]
                model.tensors.append(Models.zeros(name + ".bias", [rows], .f32))
            }
        }
        let gguf = try Convert(to: .gguf).apply(to: model)
        let interleaved = try Models.bytes(gguf.tensor(named: "blk.0.attn_q.bias"))
        let order = (0..<256).map { RowMap.neighbours(heads: 4, headSize: 64).source(of: $0) }
        #expect(interleaved == littleEndian(order.map { Float($0) }))
        let back = try Convert(to: .folder, dtype: .f32).apply(to: gguf)
        #expect(try Models.bytes(back.tensor(named: bias.name)) == littleEndian(values))
        #expect(back.config?["attention_bias"] == .bool(true))
        // transformers does not read a bias that the configuration turns off, and llama.cpp would add it.
        config["attention_bias"] = .bool(false)
        model.config = config
        let without = try Convert(to: .gguf).apply(to: model)
        #expect(without.tensor(named: "blk.0.attn_q.bias") == nil)
        let left = "leaves out \(bias.name) and \(4 * model.layerCount - 1) others: config.json turns off such biases"
        #expect(without.notes.contains(left))
    }
}

@Suite("rope scaling")
struct RopeScalingTests {
    private static func gguf(_ scaling: String, theta: Double) throws -> Checkpoint {
        var model = try Models.fixture()
        model.config?["rope_scaling"] = try JSON.parse(scaling)
        model.config?["rope_theta"] = .double(theta)
        return try Convert(to: .gguf).apply(to: model)
    }

    /// The members in alphabetical order.
    static func sorted(_ object: JSONObject) -> String {
        JSON.object(JSONObject(object.members.sorted { $0.0 < $1.0 }.map { ($0, $1) })).compact
    }

    /// The scaling in the older form of config.json, or in that of transformers 5 without the base of the frequencies.
    private static func scaling(_ gguf: Checkpoint, _ version: ConfigVersion) throws -> String? {
        let config = try Convert(to: .folder, configVersion: version).apply(to: gguf).config
        var scaling = config?[version == .newest ? "rope_parameters" : "rope_scaling"]?.object
        if version == .newest {
            #expect(scaling?["rope_theta"] != nil && config?["rope_theta"] == nil)
            scaling?["rope_theta"] = nil
        }
        return scaling.map(sorted)
    }

    private static let llama31 =
        #"{"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":8192}"#

    @Test("Llama 3's frequency factors are those of transformers")
    func llama3() throws {
        let gguf = try RopeScalingTests.gguf(RopeScalingTests.llama31, theta: 500_000)
        let bytes = try Models.bytes(gguf.tensor(named: "rope_freqs.weight"))
        let factors = bytes.withUnsafeBytes { bytes in
            (0..<bytes.count / 4).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
        }
        // transformers 5.24: 1 / (inv_freq scaled / inv_freq) for heads of 64.
        let expected =
            Array(repeating: Float(1), count: 15) + [1.5534146, 2.6945302, 5.2573271] + Array(repeating: 8, count: 14)
        #expect(factors.count == 32)
        #expect(zip(factors, expected).allSatisfy { abs($0 - $1) <= 2e-6 * $1 })
        let back = try Convert(to: .folder).apply(to: gguf)
        #expect(back.config?["rope_parameters"]?["rope_theta"] == .number("500000.0"))
        let older = try Convert(to: .folder, configVersion: .oldest).apply(to: gguf)
        #expect(older.config?["rope_theta"] == .number("500000.0"))
        let expectedText = RopeScalingTests.sorted(try JSON.parse(RopeScalingTests.llama31).object ?? JSONObject())
        for version in ConfigVersion.allCases { #expect(try RopeScalingTests.scaling(gguf, version) == expectedText) }
        #expect(back.tensor(named: "rope_freqs.weight") == nil)
    }

    @Test(
        "factors of other numbers than Llama 3's come back as numbers that give them",
        arguments: [("8192", "1024", "4.0", "4.0"), ("8192", "3000", "4.0", "2.5"), ("8192", "8192", "4.0", "16.0")])
    func otherNumbers(context: String, to other: String, high: String, to otherHigh: String) throws {
        let scaling = RopeScalingTests.llama31.replacing(context, with: other)
            .replacing("\"high_freq_factor\":\(high)", with: "\"high_freq_factor\":\(otherHigh)")
        let gguf = try RopeScalingTests.gguf(scaling, theta: 10_000)
        let back = try Convert(to: .folder).apply(to: gguf)
        let again = try Convert(to: .gguf).apply(to: back)
        let (before, after) = (gguf.tensor(named: "rope_freqs.weight"), again.tensor(named: "rope_freqs.weight"))
        for (a, b) in zip(try Models.floats(before), try Models.floats(after)) { #expect(abs(a - b) <= 1e-4 * a) }
        #expect(back.config?["rope_parameters"]?["factor"]?.double == 8)
    }

    @Test("factors that no numbers of Llama 3's scaling give are refused on the way back")
    func inexpressible() throws {
        var gguf = try RopeScalingTests.gguf(RopeScalingTests.llama31, theta: 500_000)
        let folder = TemporaryFolder()
        let values = (0..<32).map { 1 + Float($0 % 5) }
        let file = SafetensorsBytes([(name: "f", dtype: "F32", shape: [32], data: littleEndian(values))])
        let other = try #require(try Checkpoint.open(folder.write("f.safetensors", file.bytes)).tensors.first)
        let index = try #require(gguf.tensors.firstIndex { $0.name == "rope_freqs.weight" })
        gguf.tensors[index].recipe = other.recipe
        expectRefusal("has factors that no parameters of Llama 3's scaling produce") {
            try Convert(to: .folder).apply(to: gguf)
        }
    }

    @Test("a factor without a type scales linearly, also under the key of 2023")
    func linearByDefault() throws {
        for key in ["llama.rope.scaling.factor", "llama.rope.scale_linear"] {
            var gguf = try Convert(to: .gguf).apply(to: Models.fixture())
            gguf.metadata[key] = .f32(4)
            #expect(try RopeScalingTests.scaling(gguf, .oldest) == #"{"factor":4.0,"rope_type":"linear"}"#)
            // llama.cpp reads a factor of 0 as none.
            gguf.metadata[key] = .f32(0)
            let older = try Convert(to: .folder, configVersion: .oldest).apply(to: gguf)
            #expect(older.config?["rope_scaling"] == .null)
            #expect(try RopeScalingTests.scaling(gguf, .newest) == #"{"rope_type":"default"}"#)
        }
    }

    @Test("YaRN's original context is the model's when nothing else is said, as in transformers")
    func yarnContext() throws {
        let gguf = try RopeScalingTests.gguf(#"{"type":"yarn","factor":4.0}"#, theta: 10_000)
        #expect(gguf.metadata["llama.rope.scaling.original_context_length"] == .u32(1024))
    }

    @Test("llama.cpp reads YaRN's factor of sines and cosines as a share of the usual one, and no betas")
    func yarnInRuntime() throws {
        let usual = #"{"rope_type":"yarn","factor":4.0,"original_max_position_embeddings":256}"#
        let scaling = usual.replacing("}", with: #","attention_factor":0.5}"#)
        var gguf = try RopeScalingTests.gguf(scaling, theta: 10_000)
        let share = 0.5 / (0.1 * 1.3862943611198906 + 1)
        #expect(gguf.metadata["llama.rope.scaling.attn_factor"] == .f32(Float(share)))
        gguf.metadata["llama.rope.scaling.yarn_attn_factor"] = nil
        let back = try Convert(to: .folder, configVersion: .oldest).apply(to: gguf)
        let factor = try #require(back.config?["rope_scaling"]?["attention_factor"]?.double)
        #expect(abs(factor - 0.5) < 1e-6)
        let plain = try RopeScalingTests.gguf(usual, theta: 10_000)
        #expect(plain.metadata["llama.rope.scaling.attn_factor"] == nil)
        expectRefusal("has the beta_fast 8.0, and runtimes compute llama with 32.0") {
            try RopeScalingTests.gguf(usual.replacing("}", with: #","beta_fast":8.0}"#), theta: 10_000)
        }
    }

    @Test(
        "linear and YaRN scaling survive there and back",
        arguments: [
            #"{"rope_type":"linear","factor":4.0}"#,
            #"{"rope_type":"yarn","factor":4.0,"original_max_position_embeddings":32768}"#,
            #"{"rope_type":"yarn","factor":2.5,"original_max_position_embeddings":4096,"attention_factor":0.5,"beta_fast":32.0,"beta_slow":1.0}"#,
        ])
    func others(scaling: String) throws {
        let gguf = try RopeScalingTests.gguf(scaling, theta: 10_000)
        let expected = RopeScalingTests.sorted(try JSON.parse(scaling).object ?? JSONObject())
        for version in ConfigVersion.allCases { #expect(try RopeScalingTests.scaling(gguf, version) == expected) }
    }
}
