import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing

/// Which weights of a folder are packed, in which groups, and how many stay plain.
@Suite("which weights are packed")
struct QuantizedLayersTests {
    /// A folder of one layer with the matrices of SmolLM2, whose rows have 576 and 1,536 columns, or of other sizes.
    private static func folder(hidden: Int = 576, intermediate: Int = 1536) throws -> Checkpoint {
        var folder = try Models.folder(layers: 0, config: #"{"dtype": "float32"}"#)
        let layer = "model.layers.0."
        folder.tensors = [
            Models.zeros("model.embed_tokens.weight", [64, hidden], .bf16),
            Models.zeros(layer + "self_attn.q_proj.weight", [hidden, hidden], .bf16),
            Models.zeros(layer + "mlp.up_proj.weight", [intermediate, hidden], .bf16),
            Models.zeros(layer + "mlp.down_proj.weight", [hidden, intermediate], .bf16),
            Models.zeros(layer + "input_layernorm.weight", [hidden], .bf16),
        ]
        return folder
    }

    private func groupSize(_ plan: FolderPlan) -> Int? {
        let settings = plan.checkpoint.config?["quantization_config"]
        return settings?["group_size"]?.int ?? settings?["config_groups"]?["group_0"]?["weights"]?["group_size"]?.int
    }

    @Test("the largest group that divides all rows is taken", arguments: KnownForm.types)
    func groups(type: FolderType) throws {
        for (hidden, group) in [(576, 64), (512, 128), (96, 32), (1152, 128)] {
            let plan = try QuantizeFolder(type).plan(QuantizedLayersTests.folder(hidden: hidden))
            let usual = type == .mlx4 ? 64 : 128
            #expect(groupSize(plan) == min(group, usual))
            #expect(plan.quantizedCount == (type == .mlx4 ? 4 : 3) && plan.obstacles.isEmpty && plan.plainShare == 0)
            #expect(
                plan.checkpoint.notes
                    == (group < usual
                        ? ["group size \(group), because \(usual) does not divide rows of \(hidden)"] : []))
        }
    }

    @Test("of a model with two stacks the layers of the chosen one are packed")
    func chosenStack() throws {
        var folder = try Models.folder(layers: 0, config: #"{"num_hidden_layers": 2}"#)
        let names = ["a.layers.0.q", "a.layers.1.q", "b.layers.0.q", "b.layers.1.q"]
        folder.tensors = names.map { Models.zeros($0 + ".weight", [64, 64], .bf16) }
        expectRefusal("has more than one stack of layers") { try QuantizeFolder(.w4a16).apply(to: folder) }
        folder.layerPrefix = "b.layers"
        let result = try QuantizeFolder(.w4a16).apply(to: folder)
        let plain = result.tensors.map(\.name).filter { $0.hasSuffix("q.weight") }
        #expect(plain == ["a.layers.0.q.weight", "a.layers.1.q.weight"])
        #expect(result.tensor(named: "b.layers.1.q.weight_packed") != nil)
    }

    @Test("the group that is asked for is taken, and the share that stays plain is counted")
    func asked() throws {
        var settings = FolderQuantizationSettings()
        settings.groupSize = 128
        let plan = try QuantizeFolder(.w4a16, settings: settings).plan(QuantizedLayersTests.folder())
        #expect(groupSize(plan) == 128 && plan.quantizedCount == 1 && plan.obstacles.count == 2)
        // Of 576 * (576 + 1536 + 1536) elements those of the first two matrices.
        #expect(plan.plainShare == 2112.0 / 3648)
        #expect(plan.checkpoint.notes.isEmpty)
    }

    @Test("rows that no group divides stay plain, and the group is the largest for the others")
    func indivisible() throws {
        let plan = try QuantizeFolder(.w4a16).plan(QuantizedLayersTests.folder(hidden: 576, intermediate: 1000))
        #expect(groupSize(plan) == 64 && plan.quantizedCount == 2)
        #expect(plan.obstacles.map(\.tensor) == ["model.layers.0.mlp.down_proj.weight"])
        #expect(plan.plainShare == 1000.0 / 2576)
    }

    @Test("stacks of experts count as weights that stay plain, and are named to the runtime")
    func stacks() throws {
        var folder = try QuantizedLayersTests.folder(hidden: 64, intermediate: 64)
        folder.tensors += [
            Models.zeros("model.layers.0.mlp.experts.gate_up_proj", [4, 64, 128], .bf16),
            Models.zeros("model.layers.0.conv.weight", [64, 8, 4], .bf16),
        ]
        let plan = try QuantizeFolder(.w4a16).plan(folder)
        #expect(plan.obstacles.map(\.reason) == ["it is a stack of 4 matrices"])
        #expect(plan.plainShare == 32768.0 / (32768 + 3 * 4096))
        let ignored = plan.checkpoint.config?["quantization_config"]?["ignore"]?.array?.compactMap(\.string)
        #expect(ignored == ["model.layers.0.mlp.experts", "lm_head"])
        expectRefusal("tensor 'model.layers.0.mlp.experts.gate_up_proj' would stay unquantized") {
            try QuantizeFolder(.gptq).apply(to: folder)
        }
    }

    @Test(
        "matrices of a vision tower and a projector stay plain, and are named to the runtime",
        arguments: [
            (FolderType.w4a16, "ignore"), (.nf4, "llm_int8_skip_modules"), (.awq, "modules_to_not_convert"),
            (.nvfp4, "ignore"),
        ])
    func vision(type: FolderType, key: String) throws {
        var folder = try QuantizedLayersTests.folder(hidden: 64, intermediate: 64)
        let tower = ["vision_tower.layers.0.q_proj", "vision_tower.layers.0.fc1", "multi_modal_projector.linear_1"]
        for module in tower { folder.tensors.insert(Models.zeros(module + ".weight", [64, 64], .bf16), at: 1) }
        let packed = try QuantizeFolder(type).apply(to: folder)
        for module in tower {
            #expect(packed.tensor(named: module + ".weight")?.dtype == .bf16, "\(module)")
        }
        let named = packed.config?["quantization_config"]?[key]?.array?.compactMap(\.string) ?? []
        #expect(Set(named).isSuperset(of: tower + ["lm_head"]))
        // transformers calls the module model.vision_tower, whatever the file calls it.
        let more = ["re:(.*\\.)?vision_tower\\..*", "re:(.*\\.)?multi_modal_projector\\..*"]
        let prefixes = ["vision_tower", "model.vision_tower", "multi_modal_projector", "model.multi_modal_projector"]
        #expect(Set(named).isSuperset(of: key == "ignore" ? more : prefixes))
        #expect(packed.tensor(named: "model.layers.0.mlp.up_proj.weight")?.dtype != .bf16)
    }

    @Test("matrices whose rows are inputs are refused by their biases")
    func transposed() throws {
        var folder = try QuantizedLayersTests.folder(hidden: 64, intermediate: 64)
        folder.tensors += [
            Models.zeros("model.layers.0.mlp.c_fc.weight", [64, 256], .bf16),
            Models.zeros("model.layers.0.mlp.c_fc.bias", [256], .bf16),
        ]
        expectRefusal("has 64 rows and a bias of 256: its rows are inputs (Conv1D), and NF4 quantizes rows of outputs")
        {
            try QuantizeFolder(.nf4).apply(to: folder)
        }
    }
}
