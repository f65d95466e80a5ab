import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing

/// Packed weights that nothing explains: every edit that needs values refuses them, and copies keep them.
@Suite("packed weights without settings")
struct UnexplainedPartsTests {
    /// Packed folders, without their settings.
    static let stripped: [String] =
        KnownForm.types.map(\.rawValue)
        + FloatForm.all.map(\.name).filter { !$0.hasPrefix("nf4") && !$0.hasPrefix("fp4") }

    private static func packed(_ name: String) throws -> Checkpoint {
        guard let type = FolderType(named: name), KnownForm.types.contains(type) else {
            return try FloatForm(name: name).folder()
        }
        return try #require(KnownForm.all.first { $0.type == type }).quantizedFolder()
    }

    private static func withoutSettings(_ folder: Checkpoint) -> Checkpoint {
        var folder = folder
        folder.config?["quantization_config"] = nil
        folder.config?["quantization"] = nil
        folder.companions.removeAll { $0.name == "quantize_config.json" }
        return folder
    }

    /// Every edit that needs the values of weights.
    private func expectRefusals(_ message: String, _ checkpoint: Checkpoint) {
        expectRefusal(message) { try DequantizeFolder(to: .f32).apply(to: checkpoint) }
        expectRefusal(message) { try Cast(to: .bf16).apply(to: checkpoint) }
        expectRefusal(message) { try Convert(to: checkpoint.form, dtype: .bf16).apply(to: checkpoint) }
        guard checkpoint.form == .folder else { return }
        expectRefusal(message) { try Convert(to: .gguf).apply(to: checkpoint) }
        expectRefusal(message) { try QuantizeFolder(.mlx4).apply(to: checkpoint) }
        expectRefusal(message) { try QuantizeFolder(.nf4).apply(to: checkpoint) }
    }

    @Test("weights are refused by folders and by lone files", arguments: stripped)
    func refused(name: String) throws {
        var folder = UnexplainedPartsTests.withoutSettings(try UnexplainedPartsTests.packed(name))
        expectRefusals("but no settings explain its values", folder)
        folder.container = .safetensors(header: folder.headerMetadata)
        expectRefusals("but no settings explain its values", folder)
    }

    @Test("copies and cuts keep every part and all settings", arguments: stripped)
    func carried(name: String) throws {
        let folder = try UnexplainedPartsTests.packed(name)
        for checkpoint in [folder, UnexplainedPartsTests.withoutSettings(folder)] {
            let copy = try Convert(to: .folder).apply(to: checkpoint)
            #expect(copy.tensors.map(\.name) == checkpoint.tensors.map(\.name) && copy.config == checkpoint.config)
        }
        expectRefusal("cannot hold their settings") { try Convert(to: .safetensors).apply(to: folder) }
    }

    @Test("states of bitsandbytes are read without settings, also in a lone file", arguments: ["nf4", "fp4-nested"])
    func states(name: String) throws {
        var folder = UnexplainedPartsTests.withoutSettings(try FloatForm(name: name).folder())
        let answers = try Checkpoint.open(Fixture.path("floats/\(name).safetensors"))
        for _ in 0..<2 {
            let plain = try Convert(to: folder.form, dtype: .f32).apply(to: folder)
            #expect(Set(plain.tensors.map(\.name)) == Set(try FloatForm.plain().tensors.map(\.name)))
            for answer in answers.tensors {
                #expect(try Models.floats(plain.tensor(named: answer.name)) == Models.floats(answer), "\(answer.name)")
            }
            folder = try Convert(to: .safetensors).apply(to: folder)
        }
    }

    @Test("bytes of bitsandbytes without states are refused, in whatever type", arguments: ["U8", "BF16", "F32"])
    func bare(storage: String) throws {
        let dtype = try #require(DType(named: storage))
        var folder = try Models.folder(layers: 2, config: #"{"dtype": "float32"}"#)
        folder.tensors.append(
            Models.zeros("m.layers.0.q_proj.weight", [1024 / dtype.blockByteCount, 1], dtype))
        expectRefusals("tensor 'm.layers.0.q_proj.weight'", folder)
        expectRefusals("(\(storage) [\(1024 / dtype.blockByteCount), 1])", folder)
    }

    @Test(
        "one packed tensor among plain ones is named with its type",
        arguments: [
            ("m.layers.0.up.weight", "I8", [16, 16], "is quantized (I8 [16, 16])"),
            ("m.layers.0.up.weight", "F8_E4M3", [16, 16], "is F8_E4M3 [16, 16]"),
            ("m.layers.0.up.weight", "F8_E5M2", [16], "is F8_E5M2 [16]"),
            ("m.layers.0.up.weight", "I16", [16, 4], "is quantized (I16 [16, 4])"),
            ("m.layers.0.experts.gate_up_proj_blocks", "U8", [4, 16, 2, 16], "is a matrix of integers"),
            ("m.layers.0.experts.gate_up_proj", "F8_E4M3", [4, 16, 16], "is F8_E4M3 [4, 16, 16]"),
            ("m.layers.0.up.codes", "I16", [2, 16, 1], "is a matrix of integers"),
            ("m.layers.0.up.SCB", "F32", [16], "is a scale of LLM.int8"),
            ("m.layers.0.up.weight_scale", "BF16", [16, 1], "is part of a quantized weight (BF16 [16, 1])"),
            ("m.layers.0.up.weight.absmax", "F32", [16], "is part of a quantized weight (F32 [16])"),
            ("m.layers.0.act.scales", "F16", [16], "is part of a quantized weight (F16 [16])"),
        ])
    func named(name: String, type: String, shape: [Int], message: String) throws {
        var folder = try Models.folder(layers: 1, config: #"{"dtype": "float32"}"#)
        folder.tensors.append(Models.zeros(name, shape, try #require(DType(named: type))))
        expectRefusals("tensor '\(name)' \(message)", folder)
    }

    @Test("a scale beside the weight is named")
    func beside() throws {
        var folder = try Models.folder(layers: 1, config: #"{"dtype": "float32"}"#)
        folder.tensors += [
            Models.zeros("m.layers.0.up.weight_scale", [], .f32),
            Models.zeros("m.layers.0.up.weight", [16, 16], try #require(DType(named: "F8_E4M3"))),
        ]
        expectRefusals(
            "tensor 'm.layers.0.up.weight' is F8_E4M3 [16, 16] with weight_scale beside it, but no settings", folder)
    }

    @Test("what the settings do not explain is refused under the name of their form")
    func leftOver() throws {
        var folder = try FloatForm(name: "nf4").folder()
        folder.tensors.append(Models.zeros("model.layers.0.extra.qweight", [8, 16], try #require(DType(named: "I32"))))
        expectRefusal("but the bitsandbytes settings do not cover it") {
            try DequantizeFolder().apply(to: folder)
        }
    }

    @Test("indices and masks are cast around")
    func indices() throws {
        let others: [(String, String, [Int])] = [
            ("embeddings.position_ids", "I64", [1, 512]), ("m.layers.0.attn.bias", "U8", [1, 1, 32, 32]),
            ("m.layers.0.attn.causal_mask", "BOOL", [32, 32]), ("m.layers.0.gate.tid2eid", "I32", [64, 2]),
            ("m.layers.0.relative_position_index", "I64", [16, 16]), ("m.layers.0.position_ids", "I32", [1, 32]),
        ]
        var folder = try Models.folder(layers: 1, config: #"{"dtype": "float32"}"#)
        for (name, type, shape) in others {
            folder.tensors.append(Models.zeros(name, shape, try #require(DType(named: type))))
        }
        let cast = try Convert(to: .folder, dtype: .bf16).apply(to: folder)
        #expect(cast.tensors.map(\.dtype.name) == ["BF16", "BF16"] + others.map(\.1))
    }

    @Test("a GGUF file with a matrix of integers is copied, and not cast")
    func gguf() throws {
        var file = try Models.gguf("llama", layers: 1)
        let name = "blk.0.ffn_up.weight"
        file.tensors.append(Models.zeros(name, [4, 8], try #require(DType(named: "I8"))))
        file.tensors.append(Models.zeros("blk.0.tid2eid.weight", [4, 8], try #require(DType(named: "I32"))))
        expectRefusal("tensor '\(name)' is I8 [4, 8], a matrix of integers, which cannot be cast to BF16") {
            try Convert(to: .gguf, dtype: .bf16).apply(to: file)
        }
        #expect(try Convert(to: .gguf).apply(to: file).tensors.count == 4)
        file.tensors.removeAll { $0.name == name }
        #expect(try Convert(to: .gguf, dtype: .bf16).apply(to: file).tensors.last?.dtype.name == "I32")
    }
}
