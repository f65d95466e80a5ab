import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing

/// Folders of mlx-lm have one packed tensor for all experts of a layer, others one for each expert.
@Suite("stacks of experts in MLX's forms")
struct StackedExpertTests {
    private static let projections = ["gate_proj", "up_proj", "down_proj"]

    /// A mixture of four experts; every element of expert 3 in layer 1 is 13.
    private static func model(_ name: String = "Qwen3MoeForCausalLM") throws -> Checkpoint {
        var model = try DescribedModels.folder(try #require(Architecture.named(class: name)))
        for (index, tensor) in model.tensors.enumerated() where tensor.name.contains(".experts.") {
            let numbers = tensor.name.split(separator: ".").compactMap { Int($0) }
            model.tensors[index] = Tensor(
                name: tensor.name, dtype: .f32, shape: tensor.shape,
                recipe: .computed(Constant(value: Float(10 * numbers[0] + numbers[1]))))
        }
        return model
    }

    private struct Constant: RowSource {
        let value: Float
        var description: String { "\(value)" }

        func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
            for place in stride(from: 0, to: output.count, by: 4) {
                output.storeBytes(of: value, toByteOffset: place, as: Float.self)
            }
        }
    }

    private static func quantized(_ model: Checkpoint, _ type: FolderType = .mlx4) throws -> FolderPlan {
        var settings = FolderQuantizationSettings()
        if type == .mlx4 { settings.groupSize = 32 }
        return try QuantizeFolder(type, settings: settings).plan(model)
    }

    private static func values(_ tensor: Tensor) throws -> [Float] {
        try tensor.withBytes(rows: 0..<tensor.rowCount) { bytes in
            (0..<tensor.count).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
        }
    }

    @Test("are written for mlx-lm, and taken apart where they are unpacked")
    func thereAndBack() throws {
        let model = try StackedExpertTests.model()
        let packed = try StackedExpertTests.quantized(model).checkpoint
        #expect(!packed.tensors.contains { $0.name.contains(".experts.") })
        for layer in 0..<DescribedModels.layers {
            let module = "model.layers.\(layer).mlp.switch_mlp."
            #expect(packed.tensor(named: module + "up_proj.weight")?.shape == [4, 24, 4])
            #expect(packed.tensor(named: module + "up_proj.scales")?.shape == [4, 24, 1])
            #expect(packed.tensor(named: module + "up_proj.biases")?.shape == [4, 24, 1])
        }
        let folder = TemporaryFolder()
        let read = try CheckpointWriter(threads: 2).write(OutputPlan(packed), to: folder("packed"))
        let plain = try DequantizeFolder(to: .f32).apply(to: read)
        #expect(Set(plain.tensors.map(\.name)) == Set(model.tensors.map(\.name)))
        for tensor in model.tensors where tensor.name.contains(".experts.") {
            let found = try #require(plain.tensor(named: tensor.name))
            #expect(found.shape == tensor.shape)
            #expect(try StackedExpertTests.values(found) == StackedExpertTests.values(tensor))
        }
        #expect(throws: Never.self) { try plain.checkCompleteness() }
    }

    @Test(
        "have the codes of the matrices that they are made of, whatever holds these",
        arguments: [FolderType.mlxMXFP4, .mlxNVFP4])
    func modes(type: FolderType) throws {
        let packed = try StackedExpertTests.quantized(try StackedExpertTests.model(), type).checkpoint
        let stack = try #require(packed.tensor(named: "model.layers.1.mlp.switch_mlp.up_proj.weight"))
        #expect(stack.shape == [4, 24, 4] && stack.dtype.name == "U32")
        let folder = TemporaryFolder()
        let read = try CheckpointWriter(threads: 2).write(OutputPlan(packed), to: folder("packed"))
        let plan = try QuantizeFolder(type).plan(read)
        #expect(plan.exactCount == plan.quantizedCount && plan.quantizedCount > 0)
        let again = try #require(plan.checkpoint.tensor(named: stack.name))
        let bytes = { (tensor: Tensor) in try tensor.withBytes(rows: 0..<tensor.rowCount) { Array($0) } }
        #expect(try bytes(again) == bytes(stack))
    }

    @Test("keep codes and scales on the way to matrices of four bits")
    func exact() throws {
        let packed = try StackedExpertTests.quantized(try StackedExpertTests.model()).checkpoint
        let folder = TemporaryFolder()
        let read = try CheckpointWriter(threads: 2).write(OutputPlan(packed), to: folder("packed"))
        let plan = try StackedExpertTests.quantized(read)
        #expect(plan.exactCount == plan.quantizedCount && plan.roundedCount == 0)
        // Every weight of these has a bias that no zero point says.
        let other = try QuantizeFolder(.w4a16).plan(read)
        #expect(other.checkpoint.tensor(named: "model.layers.1.mlp.experts.3.up_proj.weight_packed") != nil)
    }

    @Test("of two fused roles are taken apart first")
    func fused() throws {
        var model = try StackedExpertTests.model()
        for layer in 0..<DescribedModels.layers {
            let block = "model.layers.\(layer).mlp.experts."
            model.tensors.removeAll { $0.name.hasPrefix(block) }
            model.tensors += [
                Models.zeros(block + "gate_up_proj", [4, 48, 32], .f32),
                Models.zeros(block + "down_proj", [4, 32, 24], .f32),
            ]
        }
        model.architecture = model.architecture?.placed(in: model.tensors)
        let packed = try StackedExpertTests.quantized(model).checkpoint
        #expect(packed.tensor(named: "model.layers.0.mlp.switch_mlp.gate_proj.weight")?.shape == [4, 24, 4])
        // Rows of 24 divide into no group, and mlx-lm wants the stack all the same.
        let down = try #require(packed.tensor(named: "model.layers.0.mlp.switch_mlp.down_proj.weight"))
        #expect(down.shape == [4, 32, 24] && down.dtype == .f32)
    }

    @Test("of a fused Mixtral are beside a router of the name that mlx-lm knows")
    func router() throws {
        var model = try StackedExpertTests.model("MixtralForCausalLM")
        for layer in 0..<DescribedModels.layers {
            let (block, fused) = ("model.layers.\(layer).block_sparse_moe.", "model.layers.\(layer).mlp.")
            model.tensors.removeAll { $0.name.hasPrefix(block) }
            model.tensors += [
                Models.zeros(fused + "gate.weight", [4, 32], .f32),
                Models.zeros(fused + "experts.gate_up_proj", [4, 96, 32], .f32),
                Models.zeros(fused + "experts.down_proj", [4, 32, 48], .f32),
            ]
        }
        model.architecture = model.architecture?.placed(in: model.tensors)
        let packed = try StackedExpertTests.quantized(model).checkpoint
        #expect(packed.tensor(named: "model.layers.3.block_sparse_moe.gate.weight")?.shape == [4, 32])
        #expect(packed.tensor(named: "model.layers.3.block_sparse_moe.switch_mlp.up_proj.weight")?.shape == [4, 48, 4])
        #expect(!packed.tensors.contains { $0.name.contains(".mlp.") })
    }

    @Test("are beside the members that transformers 4 wrote, which mlx-lm reads", arguments: [true, false])
    func olderMembers(newest: Bool) throws {
        let architecture = try #require(Architecture.named(class: "Qwen3MoeForCausalLM"))
        var model = try DescribedModels.folder(architecture, newest: newest)
        let theta = newest ? model.config?["rope_parameters"]?["rope_theta"] : model.config?["rope_theta"]
        #expect(theta?.double == 50000)
        if newest {
            let count = model.config?["num_experts"]
            model.config?["num_local_experts"] = count
            model.config?["num_experts"] = nil
        }
        let packed = try StackedExpertTests.quantized(model).checkpoint
        #expect(packed.config?["rope_theta"] == theta)
        #expect(packed.config?["num_experts"] == .int(4))
        #expect(packed.config?["rope_parameters"] == model.config?["rope_parameters"])
        #expect(try ModelPlan(packed) == ModelPlan(model))
    }

    @Test("of another number than the configuration states, or of unknown experts, are refused by name")
    func refused() throws {
        let packed = try StackedExpertTests.quantized(try StackedExpertTests.model()).checkpoint
        let name = "model.layers.1.mlp.switch_mlp.up_proj.scales"
        let index = try #require(packed.tensors.firstIndex { $0.name == name })
        var changed = packed
        changed.tensors[index] = Models.zeros(name, [3, 24, 1], packed.tensors[index].dtype)
        expectRefusal("'\(name)' has the shape [3, 24, 1]; the configuration states 4 experts") {
            try DequantizeFolder().apply(to: changed)
        }
        changed = packed
        changed.architecture = nil
        expectRefusal("a stack of experts; resect knows none in this architecture") {
            try DequantizeFolder().apply(to: changed)
        }
    }

    @Test("have the names that mlx-lm gives them in every family of experts", arguments: Architecture.all.map(\.name))
    func names(architecture: String) throws {
        let architecture = try #require(Architecture.all.first { $0.name == architecture })
        let perExpert = architecture.tensors.filter {
            $0.role.hasPrefix("experts_") && $0.huggingFace?.isPerExpert == true
        }
        for role in perExpert {
            let names = role.huggingFaceAlternatives.map { $0.name(layer: 2) }
            #expect(
                names.contains {
                    $0.contains(".layers.2.") && $0.contains(".switch_mlp.") && $0.hasSuffix("_proj.weight")
                })
        }
    }
}
