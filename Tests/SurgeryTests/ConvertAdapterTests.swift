import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing

/// fixtures/adapters/plain.gguf is what llama.cpp's convert_lora_to_gguf.py makes of fixtures/adapters/plain.
@Suite("converting adapters")
struct ConvertAdapterTests {
    private let base: Checkpoint

    init() throws { base = try Checkpoint.open(Fixture.model) }

    private func convert(_ path: String, to form: Checkpoint.Form, _ base: Checkpoint? = nil) throws -> Checkpoint {
        try ConvertAdapter(to: form, base: base ?? self.base).apply(to: Checkpoint.open(path))
    }

    private func bytes(_ tensor: Tensor?) throws -> [UInt8] {
        let tensor = try #require(tensor)
        return try tensor.withBytes(rows: 0..<tensor.rowCount) { Array($0) }
    }

    /// Writes a checkpoint to the disk.
    private func written(_ checkpoint: Checkpoint, _ path: String) throws -> String {
        try CheckpointWriter(threads: 1).write(OutputPlan(checkpoint), to: path)
        return path
    }

    @Test(
        "a folder becomes the tensors and the alpha that llama.cpp's converter writes, whichever container the base has"
    )
    func toGGUF() throws {
        let theirs = try Checkpoint.open(Fixture.path("adapters/plain.gguf"))
        for base in [base, try Convert(to: .gguf).apply(to: base)] {
            let ours = try convert(Fixture.path("adapters/plain"), to: .gguf, base)
            #expect(Set(ours.tensors.map(\.name)) == Set(theirs.tensors.map(\.name)))
            for tensor in theirs.tensors {
                let own = try #require(ours.tensor(named: tensor.name))
                #expect(own.shape == tensor.shape && own.dtype == tensor.dtype)
                #expect(try bytes(own) == bytes(tensor), "\(tensor.name)")
            }
            for key in ["general.architecture", "general.type", "adapter.type", "adapter.lora.alpha"] {
                #expect(ours.metadata[key] == theirs.metadata[key], "\(key)")
            }
            #expect(ours.notes.isEmpty)
        }
    }

    @Test("rsLoRA and alphas by pattern are in the scales of the GGUF file, to the last bits of f32")
    func scales() throws {
        let folder = TemporaryFolder(), path = Fixture.path("adapters/patterns")
        let converted = try convert(path, to: .gguf)
        #expect(converted.notes.count == 1)
        let file = try written(converted, folder("x.gguf"))
        let (a, b) = (try merged(path), try merged(file))
        var changed = 0
        let plain = try base.applying([Cast(to: .f32)])
        for (tensor, old) in zip(a.tensors, plain.tensors) {
            let (values, others) = (try floats(tensor), try floats(try #require(b.tensor(named: tensor.name))))
            guard try values != floats(old) else { continue }
            #expect(zip(values, others).allSatisfy { abs($0 - $1) <= 2e-7 * max(1, abs($0)) }, "\(tensor.name)")
            changed += 1
        }
        #expect(changed == 6)
    }

    private func merged(_ path: String) throws -> Checkpoint {
        try base.applying([MergeAdapters([.init(Adapter(path: path))]), Cast(to: .f32)])
    }

    private func floats(_ tensor: Tensor) throws -> [Float] {
        try tensor.withBytes(rows: 0..<tensor.rowCount) { Array($0.bindMemory(to: Float.self)) }
    }

    @Test("there and back are the tensors of the folder, and settings that give the same merge")
    func back() throws {
        let folder = TemporaryFolder(), path = Fixture.path("adapters/plain")
        let file = try written(convert(path, to: .gguf), folder("x.gguf"))
        let back = try written(convert(file, to: .folder), folder("back"))
        let (first, second) = (try Checkpoint.open(path), try Checkpoint.open(back))
        #expect(first.tensors.count == second.tensors.count)
        for tensor in first.tensors { #expect(try bytes(second.tensor(named: tensor.name)) == bytes(tensor)) }
        let (a, b) = (try merged(path), try merged(back))
        for (tensor, other) in zip(a.tensors, b.tensors) { #expect(try bytes(tensor) == bytes(other)) }
    }

    @Test("an adapter of every query matrix is one of q_proj; a whole norm is refused by name")
    func settings() throws {
        let folder = TemporaryFolder()
        func tensor(_ name: String, _ shape: [UInt64]) -> GGUFBytes.Tensor {
            .init(name, shape: shape, data: littleEndian([Float](repeating: 1, count: Int(shape.reduce(1, *)))))
        }
        var file = GGUFBytes(
            [
                ("general.architecture", .text("llama")), ("general.type", .text("adapter")),
                ("adapter.type", .text("lora")),
            ])
        for layer in 0..<12 {
            let name = "blk.\(layer).attn_q.weight", rank: UInt64 = layer == 3 ? 2 : 1
            file.tensors += [tensor(name + ".lora_a", [rank, 256]), tensor(name + ".lora_b", [256, rank])]
        }
        file.tensors += [
            tensor("blk.1.ffn_up.weight.lora_a", [1, 256]), tensor("blk.1.ffn_up.weight.lora_b", [512, 1]),
        ]
        let converted = try convert(folder.write("x.gguf", file.bytes), to: .folder)
        let text = try #require(converted.companion("adapter_config.json")).contents
        let config = try #require(JSON.parse(String(decoding: text, as: UTF8.self)).object)
        #expect(config["target_modules"] == .array([.string("1.mlp.up_proj"), .string("q_proj")]))
        #expect(config["r"] == .int(1) && config["lora_alpha"] == .int(1))
        // Without an alpha the scale is 1, whatever the rank.
        let pattern = JSON.object(JSONObject([("layers.3.self_attn.q_proj", .int(2))]))
        #expect(config["rank_pattern"] == pattern && config["alpha_pattern"] == pattern)
        file.tensors.append(tensor("blk.1.ffn_norm.weight", [256]))
        try refuses("a tensor that was trained as a whole") {
            _ = try convert(folder.write("y.gguf", file.bytes), to: .folder)
        }
    }

    private func refuses(_ message: String, _ body: () throws -> Void) throws {
        let error = #expect(throws: CheckpointError.self) { try body() }
        #expect(error?.description.contains(message) == true, "\(error?.description ?? "")")
    }

    @Test("what a GGUF adapter cannot hold is refused by name")
    func refusals() throws {
        let config = #"{"peft_type": "LORA", "r": 1, "lora_alpha": 1, "layers_to_transform": [0], "#
        let stem = "base_model.model.model.layers.0.self_attn.q_proj."
        func tensor(_ name: String, _ shape: [Int]) -> (String, String, [Int], [UInt8]) {
            (name, "F32", shape, littleEndian([Float](repeating: 1, count: shape.reduce(1, *))))
        }
        let pair = [tensor(stem + "lora_A.weight", [1, 256]), tensor(stem + "lora_B.weight", [256, 1])]
        let vocabulary = try #require(base.tensor(named: "model.embed_tokens.weight")).shape[0]
        for (settings, tensors, message) in [
            (
                #""target_modules": ["q_proj"], "use_dora": true}"#,
                pair + [tensor(stem + "lora_magnitude_vector", [256])], "has trained norms (DoRA)"
            ),
            (
                #""target_modules": ["q_proj"], "modules_to_save": ["model.norm"]}"#,
                pair + [tensor("base_model.model.model.norm.weight", [256])], "has a tensor that was trained as a whole"
            ),
            (
                #""target_modules": ["q_proj"], "trainable_token_indices": [3]}"#,
                pair + [tensor("base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta", [1, 256])],
                "has trained rows of an embedding"
            ),
            (
                #""target_modules": ["lm_head"]}"#.replacing("{", with: ""),
                [
                    tensor("base_model.model.lm_head.lora_A.weight", [1, 256]),
                    tensor("base_model.model.lm_head.lora_B.weight", [vocabulary, 1]),
                ], "changes the embedding or the output matrix alone"
            ),
        ] {
            let folder = TemporaryFolder(), path = folder.makeFolder("adapter")
            let text = tensors.count == 2 ? config.replacing(#""layers_to_transform": [0], "#, with: "") : config
            Files.write(path + "/adapter_config.json", Array((text + settings).utf8))
            Files.write(path + "/adapter_model.safetensors", SafetensorsBytes(tensors).bytes)
            try refuses(message) { _ = try convert(path, to: .gguf) }
        }
    }
}
