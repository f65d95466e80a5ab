import Checkpoints
import Decoder
import ModelSupport
import Surgery
import Testing
import TestSupport
import Weights

/// Folders that transformers writes with `save_original_format=False` have two tensors for all experts of a layer:
/// `gate_up_proj` [experts, 2 * width, hidden], of each expert the rows of gate and then those of up, and `down_proj`
/// [experts, hidden, width].
@Suite("experts that lie together in a folder")
struct FusedExpertTests {
    /// A class, its settings, the names of gate, up and down, and what an expert's module is called.
    static let families: [(name: String, members: String, parts: [String], block: String)] = [
        (
            "Qwen2MoeForCausalLM",
            #"{"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24, "shared_expert_intermediate_size": 40, "mlp_only_layers": [1]}"#,
            ["gate_proj", "up_proj", "down_proj"], "mlp"
        ),
        (
            "Qwen3MoeForCausalLM",
            #"{"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24, "norm_topk_prob": true}"#,
            ["gate_proj", "up_proj", "down_proj"], "mlp"
        ),
        (
            "OlmoeForCausalLM", #"{"num_experts": 4, "num_experts_per_tok": 2}"#,
            ["gate_proj", "up_proj", "down_proj"], "mlp"
        ),
        (
            "MixtralForCausalLM", #"{"num_local_experts": 4, "num_experts_per_tok": 2}"#,
            ["w1", "w3", "w2"], "block_sparse_moe"
        ),
    ]

    /// How a folder keeps experts.
    enum Form: CaseIterable {
        /// As transformers fuses them.
        case fused
        /// As mlx-lm stacks them: `switch_mlp.gate_proj`, `up_proj` and `down_proj`.
        case stacked
    }

    /// The same model with its experts apart and together.
    private static func models(_ name: String, _ form: Form) throws -> (apart: Checkpoint, together: Checkpoint) {
        let family = try #require(families.first { $0.name == name })
        let apart = try RandomModels.folder(name, family.members)
        var tensors: [Tensor] = []
        for tensor in apart.tensors where !tensor.name.contains(".experts.") {
            let renamed =
                form == .fused ? tensor.name.replacing(".\(family.block).gate.", with: ".mlp.gate.") : tensor.name
            tensors.append(Tensor(name: renamed, dtype: .f32, shape: tensor.shape, recipe: tensor.recipe))
        }
        let folder = TemporaryFolder()
        for layer in 0..<3 {
            let block = "model.layers.\(layer).\(family.block).experts"
            guard apart.tensor(named: "\(block).0.\(family.parts[0]).weight") != nil else { continue }
            func stack(_ parts: [String], _ target: String, _ shape: [Int]) throws {
                let values = try (0..<4).flatMap { expert in
                    try parts.flatMap { part in
                        try #require(try apart.tensor(named: "\(block).\(expert).\(part).weight")?.floats())
                    }
                }
                let target =
                    form == .fused
                    ? "model.layers.\(layer).mlp.experts.\(target)"
                    : "model.layers.\(layer).\(family.block).switch_mlp.\(target).weight"
                let file = SafetensorsBytes([(name: target, dtype: "F32", shape: shape, data: littleEndian(values))])
                tensors += try Checkpoint.open(folder.write("\(target).safetensors", file.bytes)).tensors
            }
            let width = try #require(apart.tensor(named: "\(block).0.\(family.parts[0]).weight")).shape[0]
            switch form {
            case .fused: try stack(Array(family.parts.prefix(2)), "gate_up_proj", [4, 2 * width, 32])
            case .stacked:
                try stack([family.parts[0]], "gate_proj", [4, width, 32])
                try stack([family.parts[1]], "up_proj", [4, width, 32])
            }
            try stack([family.parts[2]], "down_proj", [4, 32, width])
        }
        return (apart, try Checkpoint(named: "together", container: apart.container, tensors: tensors))
    }

    @Test("compute what experts with tensors of their own compute", arguments: families.map(\.name), Form.allCases)
    func states(name: String, form: Form) throws {
        let (apart, fused) = try FusedExpertTests.models(name, form)
        let contexts: [[Int32]] = [[5, 9, 33, 2, 61, 7, 7, 12, 40, 3]]
        #expect(try allStates(fused, contexts) == allStates(apart, contexts))
        let (cut, whole) = try (CutLayers(layers: 1..<2).apply(to: fused), CutLayers(layers: 1..<2).apply(to: apart))
        #expect(cut.tensors.count < fused.tensors.count)
        #expect(try allStates(cut, contexts) == allStates(whole, contexts))
    }

    @Test("become the GGUF file of the others, to the byte", arguments: families.map(\.name), Form.allCases)
    func converted(name: String, form: Form) throws {
        var (apart, fused) = try FusedExpertTests.models(name, form)
        // GGUF has no dense layers between the experts of a Qwen 2.
        if name.hasPrefix("Qwen2") {
            apart = try CutLayers(layers: 1..<2).apply(to: apart)
            fused = try CutLayers(layers: 1..<2).apply(to: fused)
        }
        let expected = try KnownStates.gguf(apart)
        let found = try KnownStates.gguf(fused)
        #expect(Set(found.tensors.map(\.name)) == Set(expected.tensors.map(\.name)))
        #expect(found.tensors.count == expected.tensors.count)
        for tensor in expected.tensors {
            let own = try #require(found.tensor(named: tensor.name))
            #expect(own.shape == tensor.shape)
            #expect(try own.floats() == tensor.floats(), "\(tensor.name)")
        }
        #expect(Explanation(fused).names.isEmpty)
    }

    @Test("are refused when they have inputs before outputs, or another number")
    func shapes() throws {
        let fused = try FusedExpertTests.models("Qwen3MoeForCausalLM", .fused).together
        let name = "model.layers.2.mlp.experts.gate_up_proj"
        let index = try #require(fused.tensors.firstIndex { $0.name == name })
        for shape in [[4, 32, 48], [3, 64, 32]] {
            var changed = fused
            changed.tensors[index] = Tensor(
                name: name, dtype: .f32, shape: shape, recipe: fused.tensors[index].recipe)
            let error = #expect(throws: CheckpointError.self) { try DecoderModel(changed) }
            #expect(
                error?.description.contains(
                    "'\(name)' has the shape \(shape); the configuration asks for [4, 48, 32]") == true,
                "\(error?.description ?? "")")
        }
        var changed = fused
        changed.tensors.remove(at: index)
        let error = #expect(throws: CheckpointError.self) { try DecoderModel(changed) }
        #expect(error?.description.contains("'\(name)' is missing") == true, "\(error?.description ?? "")")
    }
}
