import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing

/// A folder as mlx-lm saves it, whose tensors and settings a test changes.
struct MLXAdapterFolder {
    var tensors: [(name: String, shape: [Int], values: [Float])] = []
    var settings = ["fine_tune_type": "\"lora\"", "num_layers": "1"]
    /// What `lora_parameters` holds.
    var parameters = ["rank": "1", "scale": "0.5", "dropout": "0.0", "keys": "[\"self_attn.q_proj\"]"]
    var file = "adapters.safetensors"

    /// Adds a tensor whose value at each index is a function of the index.
    mutating func add(_ name: String, _ shape: [Int], _ value: (Int) -> Float) {
        tensors.append((name, shape, (0..<shape.reduce(1, *)).map(value)))
    }

    /// The last query matrix of the fixture: A is 0, 1, 2, … over the inputs and B the same over the outputs.
    static var query: MLXAdapterFolder {
        var result = MLXAdapterFolder()
        result.add("model.layers.11.self_attn.q_proj.lora_a", [256, 1]) { Float($0) }
        result.add("model.layers.11.self_attn.q_proj.lora_b", [1, 256]) { Float($0) }
        return result
    }

    /// Writes the folder.
    func path(in folder: TemporaryFolder) -> String {
        func object(_ members: [String: String]) -> String {
            "{" + members.sorted { $0.key < $1.key }.map { "\"\($0.key)\": \($0.value)" }.joined(separator: ", ") + "}"
        }
        var members = settings
        if !parameters.isEmpty { members["lora_parameters"] = object(parameters) }
        let path = folder.makeFolder("mlx")
        Files.write(path + "/adapter_config.json", Array(object(members).utf8))
        let tensors = tensors.map { ($0.name, "F32", $0.shape, $0.values.withUnsafeBytes { [UInt8]($0) }) }
        Files.write(path + "/" + file, SafetensorsBytes(tensors).bytes)
        return path
    }

    /// A base with the adapter, in f32.
    func merged(into base: Checkpoint) throws -> Checkpoint {
        let folder = TemporaryFolder()
        return try base.applying([MergeAdapters([.init(Adapter(path: path(in: folder)))]), Cast(to: .f32)])
    }
}

@Suite("merging adapters of mlx-lm")
struct MLXMergeTests {
    static let query = "model.layers.11.self_attn.q_proj.weight"

    @Test("merged weights have the bits that mlx-lm gives in f32, rounded once")
    func fused() throws {
        let text = Files.read(Fixture.path("adapters/mlx-merged.json"))
        let answers = try #require(JSON.parse(String(decoding: text, as: UTF8.self)).object)
        let base = try Models.fixture(), adapter = try Adapter(path: Fixture.path("adapters/mlx"))
        #expect(adapter.baseName == "kjv-7m" && answers.count == 5)
        for (tensor, old) in zip(try base.applying([MergeAdapters([.init(adapter)])]).tensors, base.tensors) {
            #expect(tensor.name == old.name && tensor.dtype == old.dtype && tensor.shape == old.shape)
            guard let answer = answers[tensor.name]?.string else {
                #expect(tensor.recipe.description == old.recipe.description, "\(tensor.name) was changed")
                continue
            }
            let hash = try Models.bytes(tensor).reduce(UInt64(0xCBF2_9CE4_8422_2325)) {
                ($0 ^ UInt64($1)) &* 0x100_0000_01B3
            }
            #expect(hash == UInt64(answer, radix: 16), "\(tensor.name)")
        }
    }

    /// The fixture with another tensor in the place of one.
    private func base(zero name: String) throws -> Checkpoint {
        var base = try Models.fixture()
        for index in base.tensors.indices where base.tensors[index].name == name {
            base.tensors[index] = Models.zeros(name, base.tensors[index].shape)
        }
        return base
    }

    @Test("the change is scale times the product, outputs by inputs, whatever the rank")
    func linear() throws {
        let merged = try MLXAdapterFolder.query.merged(into: base(zero: Self.query))
        let values = try Models.floats(merged.tensor(named: Self.query))
        #expect(values.indices.allSatisfy { values[$0] == Float($0 / 256 * ($0 % 256)) * 0.5 })
        let other = "model.layers.11.self_attn.k_proj.weight"
        let old = try base(zero: "").applying([Cast(to: .f32)])
        #expect(try Models.floats(merged.tensor(named: other)) == Models.floats(old.tensor(named: other)))
    }

    /// In numpy: `f = np.float32; f(0.1) * f(3) * f(11)` is 3.3000001907348633, `f(0.1) * (f(3) * f(11))` 3.299999952316284.
    @Test("the scale multiplies B before the product, as mlx-lm rounds it")
    func scale() throws {
        var folder = MLXAdapterFolder.query
        for index in folder.tensors.indices {
            let value: Float = folder.tensors[index].name.hasSuffix("lora_b") ? 3 : 11
            folder.tensors[index].values = [Float](repeating: value, count: 256)
        }
        folder.parameters["scale"] = "0.1"
        let values = try Models.floats(folder.merged(into: base(zero: Self.query)).tensor(named: Self.query))
        #expect(values.allSatisfy { $0 == 3.3000001907348633 })
    }

    @Test("an embedding that is the output matrix too stays so")
    func embedding() throws {
        var folder = MLXAdapterFolder()
        folder.parameters["keys"] = "[\"model.embed_tokens\"]"
        folder.add("model.embed_tokens.lora_a", [2048, 1]) { Float($0) }
        folder.add("model.embed_tokens.lora_b", [1, 256]) { Float($0) }
        let name = "model.embed_tokens.weight", base = try base(zero: name)
        let merged = try folder.merged(into: base)
        let values = try Models.floats(merged.tensor(named: name))
        #expect(values.indices.allSatisfy { values[$0] == Float($0 / 256 * ($0 % 256)) * 0.5 })
        #expect(merged.tensors.map(\.name) == base.tensors.map(\.name))
        #expect(merged.config?["tie_word_embeddings"] == .bool(true))
    }

    @Test("rows get the norms that were trained for them (DoRA)")
    func norms() throws {
        var folder = MLXAdapterFolder()
        folder.settings["fine_tune_type"] = "\"dora\""
        // Rows of the change are multiples of 3, 4, 0, 0, …, whose norm is 5.
        folder.add("model.layers.11.self_attn.q_proj.lora_a", [256, 1]) { $0 == 0 ? 3 : $0 == 1 ? 4 : 0 }
        folder.add("model.layers.11.self_attn.q_proj.lora_b", [1, 256]) { Float(1 + $0) }
        folder.add("model.layers.11.self_attn.q_proj.m", [256]) { 10 * Float(1 + $0) }
        let values = try Models.floats(folder.merged(into: base(zero: Self.query)).tensor(named: Self.query))
        #expect(
            values.indices.allSatisfy { index in
                values[index] == Float(1 + index / 256) * (index % 256 == 0 ? 6 : index % 256 == 1 ? 8 : 0)
            })
    }

    @Test("whole weights of the last layers take the place of the base's")
    func wholes() throws {
        var folder = MLXAdapterFolder()
        folder.settings["fine_tune_type"] = "\"full\""
        folder.parameters = [:]
        let base = try Models.fixture(), own = base.tensors.filter { $0.name.hasPrefix("model.layers.11.") }
        for tensor in own { folder.add(tensor.name, tensor.shape) { Float($0 % 97) } }
        let merged = try folder.merged(into: base)
        for tensor in own {
            let values = try Models.floats(merged.tensor(named: tensor.name))
            #expect(values.count == tensor.count && values.indices.allSatisfy { values[$0] == Float($0 % 97) })
        }
        let directory = TemporaryFolder(), adapter = try Adapter(path: folder.path(in: directory))
        let typed = try base.applying([MergeAdapters([.init(adapter)])])
        #expect(typed.tensors.map(\.dtype) == base.tensors.map(\.dtype))
        let last = try #require(own.last)
        folder.tensors.removeLast()
        expectRefusal("has no \(last.name)") { try folder.merged(into: base) }
        folder.add("model.norm.weight", [256]) { _ in 1 }
        expectRefusal("is outside the 12 layers") { try folder.merged(into: base) }
    }

    @Test("a file of an earlier step is not taken for the adapter")
    func earlierStep() throws {
        var folder = MLXAdapterFolder.query
        folder.file = "0000100_adapters.safetensors"
        expectRefusal("0000100_adapters.safetensors is of an earlier step") {
            try folder.merged(into: Models.fixture())
        }
    }

    @Test("an adapter of mlx-lm is merged, and not converted")
    func conversion() throws {
        let adapter = try Checkpoint.open(Fixture.path("adapters/mlx")), base = try Models.fixture()
        expectRefusal("is an adapter of mlx-lm") { try ConvertAdapter(to: .gguf, base: base).apply(to: adapter) }
    }

    private static let stem = "model.layers.11.self_attn.q_proj."

    /// What is wrong, how it becomes so, and a part of the message.
    private static let broken: [(String, @Sendable (inout MLXAdapterFolder) -> Void, String)] = [
        ("half a pair", { $0.tensors.removeLast() }, "has \(stem)lora_a and no lora_b: half an adapter"),
        ("another rank", { $0.parameters["rank"] = "2" }, "says rank 2, and \(stem)lora_b"),
        ("ranks apart", { $0.tensors[0].shape = [128, 2] }, "their ranks are 1 and 2"),
        (
            "another width", { $0.tensors[0] = (stem + "lora_a", [128, 1], [Float](repeating: 1, count: 128)) },
            "is for a weight of [256, 128]"
        ),
        ("no scale", { $0.parameters["scale"] = nil }, "has no 'lora_parameters.scale'"),
        (
            "an alpha instead",
            {
                $0.parameters["scale"] = nil; $0.parameters["alpha"] = "16"
            }, "the whole factor"
        ),
        ("scale 0", { $0.parameters["scale"] = "0.0" }, "'lora_parameters.scale' is 0"),
        ("scale beyond f32", { $0.parameters["scale"] = "1e39" }, "'lora_parameters.scale' is beyond f32"),
        ("scale NaN", { $0.parameters["scale"] = "NaN" }, "is NaN, not a finite number"),
        ("an unknown setting", { $0.parameters["use_magic"] = "true" }, "has 'lora_parameters.use_magic'"),
        ("an unknown kind", { $0.settings["fine_tune_type"] = "\"lokr\"" }, "'fine_tune_type' is 'lokr'"),
        ("no number of layers", { $0.settings["num_layers"] = nil }, "has no 'num_layers'"),
        ("an old name of it", { $0.settings = ["lora_layers": "1"] }, "rename it"),
        ("more layers than there are", { $0.settings["num_layers"] = "13" }, "says 'num_layers': 13"),
        (
            "a layer that is not there",
            {
                for index in 0..<2 {
                    $0.tensors[index].name = "model.layers.12.self_attn.q_proj.lora_\(index == 0 ? "a" : "b")"
                }
            }, "is for layer 12, and"
        ),
        (
            "a layer that was not trained",
            {
                for index in 0..<2 {
                    $0.tensors[index].name = "model.layers.3.self_attn.q_proj.lora_\(index == 0 ? "a" : "b")"
                }
            }, "is for layer 3, and adapter_config.json says 'num_layers': 1"
        ),
        (
            "a layer without tensors", { $0.settings["num_layers"] = "2" },
            "has no adapter of model.layers.10.self_attn.q_proj, which"
        ),
        (
            "the same without keys",
            {
                $0.settings["num_layers"] = "-1"; $0.parameters["keys"] = nil
            },
            "has no adapter of model.layers.0.self_attn.q_proj, and"
        ),
        (
            "a module that no key names", { $0.parameters["keys"] = "[\"self_attn.v_proj\"]" },
            "in 'lora_parameters.keys'"
        ),
        (
            "a key without tensors", { $0.parameters["keys"] = "[\"self_attn.q_proj\", \"mlp.up_proj\"]" },
            "has no adapter of model.layers.11.mlp.up_proj"
        ),
        ("NaN", { $0.tensors[1].values[7] = .nan }, "holds NaN in row 0, column 7"),
        ("an unknown part", { $0.add(stem + "lora_c", [1]) { _ in 1 } }, "is none of the parts lora_a, lora_b and m"),
        ("norms without DoRA", { $0.add(stem + "m", [256]) { _ in 1 } }, "has norms"),
        ("DoRA without norms", { $0.settings["fine_tune_type"] = "\"dora\"" }, "has no m"),
        (
            "whole weights that are pairs", { $0.settings["fine_tune_type"] = "\"full\"" },
            "is a part of a low-rank change"
        ),
        (
            "experts of a dense model",
            {
                $0.tensors = []; $0.parameters["keys"] = "[\"mlp.switch_mlp.up_proj\"]"
                $0.add("model.layers.11.mlp.switch_mlp.up_proj.lora_a", [2, 1, 256]) { _ in 1 }
                $0.add("model.layers.11.mlp.switch_mlp.up_proj.lora_b", [2, 8, 1]) { _ in 1 }
            }, "changes the experts of model.layers.11.mlp.switch_mlp.up_proj"
        ),
        (
            "the output matrix of a tied model",
            {
                $0.tensors = []; $0.parameters["keys"] = "[\"lm_head\"]"
                $0.add("lm_head.lora_a", [256, 1]) { _ in 1 }
                $0.add("lm_head.lora_b", [1, 2048]) { _ in 1 }
            }, "is its embedding"
        ),
    ]

    @Test("an adapter of mlx-lm that is wrong is refused by name", arguments: broken.indices)
    func refusal(index: Int) throws {
        let (_, change, message) = Self.broken[index]
        var folder = MLXAdapterFolder.query
        change(&folder)
        expectRefusal(message) { try folder.merged(into: Models.fixture()) }
    }
}
