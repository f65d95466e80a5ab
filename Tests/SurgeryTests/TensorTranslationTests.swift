import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing

/// Descriptions of fused weights, in the ways that published models fuse them, against arrays moved by hand.
@Suite("tensors that are joined and taken apart")
struct TensorTranslationTests {
    /// A description like llama's whose queries, keys and values lie in one tensor, in either container.
    private static func architecture(_ hf: String, _ gguf: String) throws -> Architecture {
        let llama = EmbeddedFiles.parsed(under: "architectures/llama.json").first?.value ?? .null
        func part(_ name: String, _ text: String, _ index: Int) -> String {
            // llama's own says that pairs are neighbours in GGUF.
            text.replacing("NAME", with: name).replacing("INDEX", with: "\(index)").replacing(
                "}}", with: "}, \"paired_heads\": null}")
        }
        var tensors: [String] = []
        for (index, role) in ["attention_q", "attention_k", "attention_v"].enumerated() {
            tensors.append(
                "\"\(role)\": {\"hf\": \(part("{p}layers.{layer}.qkv.weight", hf, index)), "
                    + "\"gguf\": \(part("blk.{layer}.attn_qkv.weight", gguf, index))}")
        }
        let own = try JSON.parse(
            """
            {"name": "fused", "like": "llama", "gguf": {"architecture": "fused"},
             "tensors": {\(tensors.joined(separator: ", ")), "attention_q_bias": null, "attention_k_bias": null,
                         "attention_v_bias": null, "attention_output_bias": null},
             "settings": {"attention_bias": null}}
            """)
        return try Architecture(try Architecture.resolved(own, ["llama": llama]))
    }

    private static let heads = 4, size = 8, hidden = 32

    /// The rows of the fused tensor, by what they hold: [part, head, row].
    private static func rows(_ order: [(Int, Int, Int)]) -> [Float] {
        order.flatMap { part, head, row in Array(repeating: Float(part * 1000 + head * 100 + row), count: hidden) }
    }

    private static func everyHead(_ body: (Int, Int, Int) -> (Int, Int, Int), _ axes: [Int]) -> [(Int, Int, Int)] {
        var result: [(Int, Int, Int)] = []
        for a in 0..<axes[0] { for b in 0..<axes[1] { for c in 0..<axes[2] { result.append(body(a, b, c)) } } }
        return result
    }

    /// A part, a head and a row at a time.
    private static let stacked = everyHead({ ($0, $1, $2) }, [3, heads, size])
    /// A head, a part and a row at a time, as GPT-NeoX has it.
    private static let woven = everyHead({ ($1, $0, $2) }, [heads, 3, size])
    private static let stackedPart = #"{"of": "NAME", "dims": [3, "heads", "key_size"], "take": {"0": INDEX}}"#
    private static let wovenPart = #"{"of": "NAME", "dims": ["heads", 3, "key_size"], "take": {"1": INDEX}}"#
    /// Halves of a head as neighbours, beside the other fusion.
    private static let pairedPart =
        #"{"of": "NAME", "dims": [3, "heads", "key_size"], "take": {"0": INDEX}, "order": [1, 0], "paired_heads": null}"#

    private static func model(_ architecture: Architecture, _ values: [Float]) throws -> Checkpoint {
        var model = try DescribedModels.folder(architecture)
        model.config?["num_key_value_heads"] = .int(heads)
        let folder = TemporaryFolder()
        let file = SafetensorsBytes([
            (name: "x", dtype: "F32", shape: [values.count / hidden, hidden], data: littleEndian(values))
        ])
        let fused = try #require(try Checkpoint.open(folder.write("x.safetensors", file.bytes)).tensors.first)
        let settings = Settings(model, architecture)
        model.tensors = []
        var seen: Set<String> = []
        for role in architecture.tensors where role.need == .always || role.role == "output" {
            guard let part = role.huggingFace else { continue }
            for layer in role.isPerLayer ? Array(0..<DescribedModels.layers) : [0] {
                let name = part.name(layer: layer)
                guard seen.insert(name).inserted else { continue }
                if part.taken != nil {
                    var tensor = fused
                    tensor.name = name
                    model.tensors.append(tensor)
                } else {
                    model.tensors.append(Models.zeros(name, try role.shape.map(settings.length), .f32))
                }
            }
        }
        return model
    }

    @Test(
        "fused weights move between the ways of fusing, there and back",
        arguments: [
            (stackedPart, wovenPart, stacked, woven), (wovenPart, stackedPart, woven, stacked),
            (wovenPart, wovenPart, woven, woven),
        ])
    func fused(hf: String, gguf: String, before: [(Int, Int, Int)], after: [(Int, Int, Int)]) throws {
        let architecture = try TensorTranslationTests.architecture(hf, gguf)
        let model = try TensorTranslationTests.model(architecture, TensorTranslationTests.rows(before))
        let converted = try Convert(to: .gguf).apply(to: model)
        let name = "blk.3.attn_qkv.weight"
        #expect(
            try Models.bytes(converted.tensor(named: name)) == littleEndian(TensorTranslationTests.rows(after)))
        #expect(converted.tensors.filter { $0.name.contains("attn_qkv") }.count == DescribedModels.layers)
        let back = try Convert(to: .folder).apply(to: converted)
        #expect(
            try Models.bytes(back.tensor(named: "model.layers.3.qkv.weight"))
                == littleEndian(TensorTranslationTests.rows(before)))
    }

    @Test("an order of axes is undone on the way back")
    func order() throws {
        let architecture = try TensorTranslationTests.architecture(
            TensorTranslationTests.stackedPart, TensorTranslationTests.pairedPart)
        let model = try TensorTranslationTests.model(
            architecture, TensorTranslationTests.rows(TensorTranslationTests.stacked))
        let converted = try Convert(to: .gguf).apply(to: model)
        // The role has [key_size, heads] of what is stored as [heads, key_size].
        let bytes = try Models.bytes(converted.tensor(named: "blk.0.attn_qkv.weight"))
        #expect(bytes != littleEndian(TensorTranslationTests.rows(TensorTranslationTests.stacked)))
        let back = try Convert(to: .folder).apply(to: converted)
        #expect(
            try Models.bytes(back.tensor(named: "model.layers.0.qkv.weight"))
                == littleEndian(TensorTranslationTests.rows(TensorTranslationTests.stacked)))
    }

    @Test("a part and its inverse are the identity on rows that are numbered", arguments: Architecture.all.map(\.name))
    func identity(name: String) throws {
        let architecture = try #require(Architecture.all.first { $0.name == name })
        var model = try DescribedModels.folder(architecture)
        for index in model.tensors.indices {
            let tensor = model.tensors[index]
            let rows = tensor.shape[0], length = tensor.count / max(1, rows)
            let values = (0..<rows).flatMap { Array(repeating: Float($0), count: length) }
            let folder = TemporaryFolder()
            let file = SafetensorsBytes([
                (name: "x", dtype: "F32", shape: tensor.shape, data: littleEndian(values))
            ])
            var numbered = try #require(try Checkpoint.open(folder.write("x.safetensors", file.bytes)).tensors.first)
            numbered.name = tensor.name
            model.tensors[index] = numbered
        }
        let back = try Convert(to: .folder).apply(to: Convert(to: .gguf).apply(to: model))
        for tensor in model.tensors {
            #expect(try Models.bytes(back.tensor(named: tensor.name)) == Models.bytes(tensor), "\(tensor.name)")
        }
    }
}
