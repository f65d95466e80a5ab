import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing

/// Settings of packed weights, in every file and object that holds them.
@Suite("settings of packed weights")
struct QuantizationSettingsTests {
    /// A packed weight of fixtures/forms in groups of 32.
    private static func known(_ type: FolderType) throws -> KnownForm {
        try #require(KnownForm.all.first { $0.type == type && $0.settings.groupSize == 32 && $0.weight != nil })
    }

    /// A packed folder whose settings lie at a path of keys in config.json, as `a.b.quantization_config`.
    private static func moved(_ known: KnownForm, to path: String) throws -> Checkpoint {
        var folder = try known.quantizedFolder()
        var settings = try #require(folder.config?["quantization_config"] ?? folder.config?["quantization"])
        for key in path.split(separator: ".").reversed() {
            settings = .object(JSONObject([(String(key), settings)]))
        }
        folder.config?["quantization_config"] = nil
        folder.config?["quantization"] = nil
        folder.companions = []
        for (key, value) in try #require(settings.object).members { folder.config?[key] = value }
        return folder
    }

    /// The same folder with its settings in a file beside config.json.
    private static func beside(_ folder: Checkpoint, _ name: String, _ text: String) -> Checkpoint {
        var folder = folder
        folder.config?["quantization_config"] = nil
        folder.companions = [.init(name: name, contents: Array(text.utf8))]
        return folder
    }

    private func expectValues(_ folder: Checkpoint, _ values: Tensor) throws {
        let plain = try DequantizeFolder(to: .f32).apply(to: folder)
        #expect(plain.tensors.map(\.name) == [KnownForm.module + ".weight"])
        #expect(try Models.bytes(plain.tensors.first) == Models.bytes(values))
        let text = JSON.object(plain.config ?? JSONObject()).compact
        #expect(!text.contains("quantization") && !text.contains("compression_config"), "\(text)")
        #expect(!plain.companions.contains { $0.name.hasPrefix("quant") })
    }

    @Test(
        "settings are read in any object of config.json, and removed where they lie",
        arguments: [
            "quantization_config", "compression_config", "text_config.quantization_config",
            "llm_config.quantization_config", "language_config.quantization_config",
            "thinker_config.text_config.quantization_config",
        ])
    func nested(path: String) throws {
        for type in [FolderType.w4a16, .gptq, .awq] {
            let known = try QuantizationSettingsTests.known(type)
            try expectValues(QuantizationSettingsTests.moved(known, to: path), known.values)
        }
    }

    @Test("the settings of MLX are read in an object of config.json too")
    func mlx() throws {
        let known = try QuantizationSettingsTests.known(.mlx4)
        try expectValues(QuantizationSettingsTests.moved(known, to: "quantization"), known.values)
        try expectValues(QuantizationSettingsTests.moved(known, to: "text_config.quantization"), known.values)
    }

    @Test("files of AutoGPTQ and AutoAWQ are read")
    func sidecars() throws {
        let gptq = try QuantizationSettingsTests.known(.gptq), awq = try QuantizationSettingsTests.known(.awq)
        let files = [
            (gptq, "quantize_config.json", #"{"bits": 4, "group_size": 32, "desc_act": false, "sym": true}"#),
            (awq, "quant_config.json", #"{"zero_point": true, "q_group_size": 32, "w_bit": 4, "version": "GEMM"}"#),
            (awq, "quantize_config.json", #"{"zero_point": true, "q_group_size": 32, "w_bit": 4}"#),
            (awq, "quant_config.json", #"{"quant_method": "awq", "bits": 4, "group_size": 32}"#),
        ]
        for (known, name, text) in files where known.type != .gptq || !known.settings.isSecondVersion {
            try expectValues(QuantizationSettingsTests.beside(known.quantizedFolder(), name, text), known.values)
        }
    }

    @Test("ModelOpt's hf_quant_config.json is read")
    func modelOpt() throws {
        let text = #"{"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "NVFP4", "group_size": 16}}"#
        let packed = try FloatForm(name: "modelopt").folder()
        let folder = QuantizationSettingsTests.beside(packed, "hf_quant_config.json", text)
        let answers = try Checkpoint.open(Fixture.path("floats/modelopt.safetensors"))
        let plain = try DequantizeFolder(to: .f32).apply(to: folder)
        for answer in answers.tensors {
            #expect(try Models.floats(plain.tensor(named: answer.name)) == Models.floats(answer), "\(answer.name)")
        }
        #expect(plain.companions.isEmpty)
    }

    @Test("settings of bitsandbytes that name no method are known by load_in_4bit")
    func noMethod() throws {
        var folder = try FloatForm(name: "nf4").folder()
        folder.config?["quantization_config"] = .object(JSONObject([("load_in_4bit", .bool(true))]))
        let answers = try Checkpoint.open(Fixture.path("floats/nf4.safetensors"))
        let plain = try DequantizeFolder(to: .f32).apply(to: folder)
        for answer in answers.tensors {
            #expect(try Models.floats(plain.tensor(named: answer.name)) == Models.floats(answer), "\(answer.name)")
        }
    }

    @Test("settings that differ are refused, and the same ones twice are read, whatever they ignore")
    func twice() throws {
        let known = try QuantizationSettingsTests.known(.awq)
        var folder = try known.quantizedFolder()
        var settings = try #require(folder.config?["quantization_config"]?.object)
        settings["modules_to_not_convert"] = .array([.string("lm_head")])
        folder.config?["text_config"] = .object(JSONObject([("quantization_config", .object(settings))]))
        try expectValues(folder, known.values)
        settings["group_size"] = .int(64)
        folder.config?["text_config"] = .object(JSONObject([("quantization_config", .object(settings))]))
        let differing = folder
        expectRefusal("'quantization_config' and 'text_config.quantization_config' contradict each other") {
            try DequantizeFolder().apply(to: differing)
        }
    }

    @Test("what is packed again has its settings at the top of config.json alone", arguments: [FolderType.w4a16, .nf4])
    func written(type: FolderType) throws {
        let folder = try QuantizationSettingsTests.moved(
            QuantizationSettingsTests.known(.awq), to: "text_config.quantization_config")
        var settings = FolderQuantizationSettings()
        settings.allowsRequantize = true
        let packed = try QuantizeFolder(type, settings: settings).apply(to: folder)
        #expect(packed.config?["quantization_config"]?["quant_method"] != nil)
        #expect(packed.config?["text_config"]?["quantization_config"] == nil)
    }

    @Test("settings of weights that are plain are left out with a note")
    func stale() throws {
        var model = try Models.fixture()
        model.config?["quantization_config"] = .object(JSONObject([("quant_method", .string("gptq"))]))
        let plain = try DequantizeFolder().apply(to: model)
        #expect(plain.config?["quantization_config"] == nil && plain.tensors.count == model.tensors.count)
        #expect(plain.notes == ["the GPTQ settings are removed: no weight is in this format"])
    }
}
