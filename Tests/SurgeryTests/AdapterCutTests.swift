import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing

/// Adapters of six layers. What PEFT 0.21 selects with a configuration is worked out by hand.
@Suite("adapters that follow a cut")
struct AdapterCutTests {
    private static let modules = (0..<6).flatMap { layer in
        ["self_attn.q_proj", "mlp.down_proj"].map { "model.layers.\(layer).\($0)" }
    }

    /// A folder as PEFT saves it. The first value of a matrix tells which module it was of.
    private static func adapter(
        _ config: String, modules: [String] = modules, wholes: [String] = []
    ) throws -> (folder: TemporaryFolder, adapter: Checkpoint) {
        let folder = TemporaryFolder()
        folder.makeFolder("a")
        var tensors: [(String, String, [Int], [UInt8])] = []
        for (index, module) in modules.enumerated() {
            for (part, shape) in [("lora_A", [2, 4]), ("lora_B", [4, 2])] {
                tensors.append(
                    (
                        "base_model.model.\(module).\(part).weight", "F32", shape,
                        littleEndian([Float](repeating: Float(index), count: 8))
                    ))
            }
        }
        for (index, name) in wholes.enumerated() {
            tensors.append(
                ("base_model.model." + name, "F32", [2], littleEndian([Float](repeating: 100 + Float(index), count: 2)))
            )
        }
        folder.write("a/adapter_model.safetensors", SafetensorsBytes(tensors).bytes)
        folder.write(
            "a/adapter_config.json",
            #"{"peft_type":"LORA","r":2,"lora_alpha":4"# + (config.isEmpty ? "" : "," + config) + "}")
        return (folder, try Checkpoint.open(folder("a")))
    }

    /// The settings of a cut adapter, but for those that every test has.
    private static func settings(_ adapter: Checkpoint) throws -> String {
        let file = try #require(adapter.companion("adapter_config.json"))
        var config = try #require(try JSON.parse(String(decoding: file.contents, as: UTF8.self)).object)
        for key in ["peft_type", "r", "lora_alpha"] { config[key] = nil }
        return String(JSON.object(config).compact.dropFirst().dropLast())
    }

    @Test("the matrices of a layer get its new number, those of a cut layer go, and all else stays")
    func tensors() throws {
        let (folder, adapter) = try AdapterCutTests.adapter(
            #""target_modules":["q_proj","down_proj","lm_head"]"#, modules: AdapterCutTests.modules + ["lm_head"],
            wholes: [
                "model.layers.5.input_layernorm.weight", "model.layers.2.input_layernorm.weight", "model.norm.weight",
            ])
        folder.write("a/README.md", "of six layers")
        let cut = try CutLayers(layers: LayerRuns([1..<3, 4..<5])).apply(to: Checkpoint.open(folder("a")))
        let written = try CheckpointWriter(threads: 1).write(OutputPlan(cut), to: folder("out"))
        #expect(Files.names(folder("out")) == ["README.md", "adapter_config.json", "adapter_model.safetensors"])
        let prefix = "base_model.model.model.layers."
        let expected: [(String, Float)] = [
            ("\(prefix)0.self_attn.q_proj.lora_A.weight", 0), ("\(prefix)0.mlp.down_proj.lora_B.weight", 1),
            ("\(prefix)1.self_attn.q_proj.lora_B.weight", 6), ("\(prefix)1.mlp.down_proj.lora_A.weight", 7),
            ("\(prefix)2.self_attn.q_proj.lora_A.weight", 10), ("\(prefix)2.mlp.down_proj.lora_B.weight", 11),
            ("base_model.model.lm_head.lora_A.weight", 12), ("\(prefix)2.input_layernorm.weight", 100),
            ("base_model.model.model.norm.weight", 102),
        ]
        for (name, value) in expected {
            #expect(try Models.floats(written.tensor(named: name)).first == value, "\(name)")
        }
        #expect(written.tensors.count == 3 * 4 + 2 + 2)
        #expect(try AdapterCutTests.settings(written) == AdapterCutTests.settings(adapter))
    }

    @Test(
        "settings select the same modules as before",
        arguments: [
            // What no number is in stays.
            (
                #""target_modules":["q_proj","down_proj"],"exclude_modules":null"#,
                #""target_modules":["q_proj","down_proj"],"exclude_modules":null"#
            ),
            (#""target_modules":"all-linear""#, #""target_modules":"all-linear""#),
            (#""target_modules":".*\\.(q|down)_proj""#, #""target_modules":".*\\.(q|down)_proj""#),
            (#""target_modules":"model\\.layers\\.\\d+\\..*""#, #""target_modules":"model\\.layers\\.\\d+\\..*""#),
            // Names with a number, or ends of such.
            (
                #""target_modules":["model.layers.0.self_attn.q_proj","layers.2.mlp.down_proj","3.mlp.down_proj","layers.5.mlp.down_proj"]"#,
                #""target_modules":["model.layers.0.self_attn.q_proj","1.mlp.down_proj","layers.3.mlp.down_proj"]"#
            ),
            // Layers by number.
            (
                #""target_modules":["q_proj"],"layers_to_transform":[0,2,5]"#,
                #""target_modules":["q_proj"],"layers_to_transform":[0,3]"#
            ),
            (
                #""target_modules":["q_proj"],"layers_to_transform":4"#,
                #""target_modules":["q_proj"],"layers_to_transform":2"#
            ),
            (
                #""target_modules":["q_proj"],"layers_to_transform":[3,4],"layers_pattern":"layers""#,
                #""target_modules":["q_proj"],"layers_to_transform":[1,2],"layers_pattern":"layers""#
            ),
            // No layer left in the list would mean all.
            (
                #""target_modules":["q_proj","model.layers.5.mlp.down_proj"],"layers_to_transform":[1],"layers_pattern":null"#,
                #""target_modules":["model.layers.3.mlp.down_proj"],"layers_to_transform":null,"layers_pattern":null"#
            ),
            // Expressions that tell layers apart become lists of what they were for.
            (
                #""target_modules":"model\\.layers\\.(0|2|4)\\..*q_proj""#,
                #""target_modules":["model.layers.0.self_attn.q_proj","model.layers.2.self_attn.q_proj"]"#
            ),
            (
                #""target_modules":"model\\.layers\\.[3-9]\\..*down_proj""#,
                #""target_modules":["model.layers.1.mlp.down_proj","model.layers.2.mlp.down_proj","model.layers.3.mlp.down_proj"]"#
            ),
            (
                #""target_modules":["q_proj","down_proj"],"exclude_modules":["layers.5.mlp.down_proj","layers.1.mlp.down_proj"]"#,
                #""target_modules":["q_proj","down_proj"],"exclude_modules":["layers.3.mlp.down_proj"]"#
            ),
            (
                #""target_modules":["down_proj"],"exclude_modules":".*\\.[0-4]\\..*""#,
                #""target_modules":["model.layers.3.mlp.down_proj"],"exclude_modules":null"#
            ),
            // Modules that were trained as a whole.
            (
                #""target_modules":["q_proj"],"modules_to_save":["lm_head","layers.5.input_layernorm","layers.1.input_layernorm"]"#,
                #""target_modules":["q_proj"],"modules_to_save":["lm_head","layers.3.input_layernorm"]"#
            ),
        ])
    func targets(before: String, after: String) throws {
        // Layers 0, 3, 4 and 5 are left.
        let (_, adapter) = try AdapterCutTests.adapter(before)
        #expect(try AdapterCutTests.settings(CutLayers(layers: 1..<3).apply(to: adapter)) == after)
    }

    @Test(
        "every module keeps its rank and its alpha",
        arguments: [
            (#"{"down_proj":8}"#, #"{"down_proj":8}"#),
            (#"{"layers.5.mlp.down_proj":8,"layers.1.mlp.down_proj":16}"#, #"{"layers.3.mlp.down_proj":8}"#),
            (#"{"^model\\.layers\\.3\\.self_attn\\.q_proj$":8}"#, #"{"^model\\.layers\\.1\\.self_attn\\.q_proj$":8}"#),
            // The first that matches counts.
            (#"{"layers.4.mlp.down_proj":8,"down_proj":4}"#, #"{"layers.2.mlp.down_proj":8,"down_proj":4}"#),
            (#"{".*layers\\.\\d+\\.mlp\\..*":8}"#, #"{".*layers\\.\\d+\\.mlp\\..*":8}"#),
            (
                #"{"^model\\.layers\\.(?:[0-3])\\.mlp\\.down_proj":8}"#,
                #"{"model.layers.0.mlp.down_proj":8,"model.layers.1.mlp.down_proj":8}"#
            ),
            (#"{"model\\.layers\\.[12]\\..*":8}"#, "{}"),
            (#"{"nothing":8}"#, #"{"nothing":8}"#),
        ])
    func patterns(before: String, after: String) throws {
        for key in ["rank_pattern", "alpha_pattern"] {
            let (_, adapter) = try AdapterCutTests.adapter(#""\#(key)":\#(before)"#)
            #expect(
                try AdapterCutTests.settings(CutLayers(layers: 1..<3).apply(to: adapter)) == #""\#(key)":\#(after)"#)
        }
    }

    @Test("stacks of experts and their ranks follow")
    func experts() throws {
        let modules = (0..<4).flatMap { ["model.layers.\($0).mlp.experts", "model.layers.\($0).self_attn.q_proj"] }
        let (_, adapter) = try AdapterCutTests.adapter(
            #""target_modules":["q_proj"],"target_parameters":["layers.1.mlp.experts.gate_up_proj","layers.3.mlp.experts.gate_up_proj"],"rank_pattern":{"layers.3.mlp.experts.gate_up_proj":1}"#,
            modules: modules)
        #expect(
            try AdapterCutTests.settings(CutLayers(layers: 1..<2).apply(to: adapter))
                == #""target_modules":["q_proj"],"target_parameters":["layers.2.mlp.experts.gate_up_proj"],"rank_pattern":{"layers.2.mlp.experts.gate_up_proj":1}"#
        )
    }

    @Test("two parts with layers are told apart by their names, or have to be chosen")
    func parts() throws {
        let both = [
            "model.vision_tower.layers.1.q_proj", "model.language_model.layers.1.q_proj",
            "model.language_model.layers.3.q_proj",
        ]
        let (_, adapter) = try AdapterCutTests.adapter(
            #""target_modules":["q_proj"],"layers_to_transform":[1,3]"#, modules: both)
        let result = try CutLayers(layers: 0..<1).apply(to: adapter)
        #expect(
            result.tensors.map(\.name).filter { $0.contains("lora_A") } == [
                "base_model.model.model.vision_tower.layers.1.q_proj.lora_A.weight",
                "base_model.model.model.language_model.layers.0.q_proj.lora_A.weight",
                "base_model.model.model.language_model.layers.2.q_proj.lora_A.weight",
            ])
        // The numbers were for both parts, and now differ.
        #expect(
            try AdapterCutTests.settings(result)
                == #""target_modules":["model.vision_tower.layers.1.q_proj","model.language_model.layers.0.q_proj","model.language_model.layers.2.q_proj"],"layers_to_transform":null"#
        )
        let (_, halves) = try AdapterCutTests.adapter(
            #""target_modules":["q"]"#, modules: ["decoder.block.1.q", "encoder.block.1.q"])
        expectRefusal("names layers of several parts: decoder.block, encoder.block") {
            try CutLayers(layers: 0..<1).apply(to: halves)
        }
        var chosen = halves
        chosen.layerPrefix = "encoder.block"
        #expect(
            try CutLayers(layers: 0..<1).apply(to: chosen).tensors.map(\.name).filter { $0.contains("lora_A") }
                == ["decoder.block.1", "encoder.block.0"].map { "base_model.model.\($0).q.lora_A.weight" })
    }

    @Test(
        "what cannot follow is refused by name",
        arguments: [
            (#""target_modules":["q_proj"]"#, 0..<6, "has no tensor outside the layers 0:6"),
            (#""layer_replication":[[0,4],[2,6]]"#, 1..<2, "'layer_replication' repeats layers"),
            (#""peft_type":"LOKR""#, 1..<2, "'peft_type' is LOKR, and only adapters of LORA follow a cut"),
            (#""alpha_pattern":{"(?<=x)q_proj":2}"#, 1..<2, "'alpha_pattern' has the pattern '(?<=x)q_proj'"),
            (#""mystery":{"model.layers.3":1}"#, 1..<2, "'mystery' has 'model.layers.3', which names a layer"),
            (
                #""modules_to_save":["1.input_layernorm"]"#, 1..<2,
                "'modules_to_save' has '1.input_layernorm', whose number may"
            ),
            (
                #""modules_to_save":["layers.(2|4).input_layernorm"]"#, 1..<2,
                "'modules_to_save' tells layers apart in a way that cannot follow"
            ),
            (#""modules_to_save":[1]"#, 1..<2, "'modules_to_save' has the entry 1, which is not a name"),
        ] as [(String, Range<Int>, String)])
    func refused(config: String, cut: Range<Int>, message: String) throws {
        let text = config.contains("peft_type") ? "" : config
        let (folder, adapter) = try AdapterCutTests.adapter(text, wholes: ["model.layers.4.input_layernorm.weight"])
        guard text.isEmpty else { return expectRefusal(message) { try CutLayers(layers: cut).apply(to: adapter) } }
        folder.write("a/adapter_config.json", "{\(config)}")
        expectRefusal(message) { try CutLayers(layers: cut).apply(to: Checkpoint.open(folder("a"))) }
    }

    @Test("a cut behind all layers that are named changes nothing, and says so")
    func behind() throws {
        let (_, adapter) = try AdapterCutTests.adapter(#""target_modules":["q_proj"]"#)
        let result = try CutLayers(layers: 9..<12).apply(to: adapter)
        #expect(result.tensors.map(\.name) == adapter.tensors.map(\.name))
        #expect(result.notes == ["the adapter names no layer that is cut or moves, so it stays as it is"])
    }

    @Test("cuts at once are cuts one after the other", arguments: 1...20)
    func twice(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let modules = AdapterCutTests.modules.filter { _ in Int.random(in: 0..<4, using: &generator) > 0 }
        let numbers = Set(modules.compactMap { Int($0.split(separator: ".")[2]) }).sorted()
        let (_, adapter) = try AdapterCutTests.adapter(
            #""target_modules":["q_proj","down_proj"],"layers_to_transform":\#(numbers),"rank_pattern":{"layers.4.mlp.down_proj":8,"layers.1.mlp.down_proj":4}"#,
            modules: modules)
        let runs = LayerRuns([1..<2, 3..<5])
        let whole = try CutLayers(layers: runs).apply(to: adapter)
        let steps = try CutLayers(layers: 1..<2).apply(to: CutLayers(layers: 3..<5).apply(to: adapter))
        #expect(whole.tensors.map(\.name) == steps.tensors.map(\.name))
        #expect(try AdapterCutTests.settings(whole) == AdapterCutTests.settings(steps))
    }

    // MARK: other forms

    @Test("mlx-lm's adapters count the last layers")
    func mlx() throws {
        let folder = TemporaryFolder()
        folder.makeFolder("a")
        let tensors = (4..<8).map {
            ("model.layers.\($0).self_attn.q_proj.lora_a", "F32", [1, 2], littleEndian([Float($0), 0]))
        }
        folder.write("a/adapters.safetensors", SafetensorsBytes(tensors).bytes)
        for (number, cut, left) in [(4, 1..<3, 4), (4, 5..<7, 2), (4, 3..<5, 3), (-1, 3..<5, -1), (4, 4..<8, nil)]
            as [(Int, Range<Int>, Int?)]
        {
            folder.write(
                "a/adapter_config.json",
                #"{"fine_tune_type":"lora","num_layers":\#(number),"lora_parameters":{"rank":1,"scale":2}}"#)
            let adapter = try Checkpoint.open(folder("a"))
            guard let left else {
                expectRefusal("has no tensor outside the layers 4:8") { try CutLayers(layers: cut).apply(to: adapter) }
                continue
            }
            let result = try CutLayers(layers: cut).apply(to: adapter)
            let file = try #require(result.companion("adapter_config.json"))
            #expect(try JSON.parse(String(decoding: file.contents, as: UTF8.self))["num_layers"] == .int(left))
            let layers = Set(0..<8).subtracting(cut).sorted()
            let values = try result.tensors.map { try Models.floats($0)[0] }
            #expect(values == layers.filter { $0 >= 4 }.map(Float.init))
            #expect(
                result.tensors.map(\.name)
                    == layers.enumerated().filter { $1 >= 4 }.map {
                        "model.layers.\($0.offset).self_attn.q_proj.lora_a"
                    })
        }
    }

    @Test("an adapter in GGUF follows")
    func gguf() throws {
        let folder = TemporaryFolder()
        let names = (0..<4).flatMap { ["blk.\($0).attn_q.weight.lora_a", "blk.\($0).attn_q.weight.lora_b"] }
        let file = GGUFBytes(
            [
                ("general.type", .text("adapter")), ("general.architecture", .text("llama")),
                ("adapter.type", .text("lora")),
                ("adapter.lora.alpha", .f32(4)),
            ],
            names.map { .init($0, shape: [1, 8], data: littleEndian([Float](repeating: 1, count: 8))) })
        let adapter = try Checkpoint.open(folder.write("a.gguf", file.bytes))
        let cut = try CutLayers(layers: 1..<3).apply(to: adapter)
        let written = try CheckpointWriter(threads: 1).write(OutputPlan(cut), to: folder("b.gguf"))
        #expect(written.tensors.map(\.name) == Array(names[..<4]))
        #expect(written.metadata == adapter.metadata)
    }
}
