import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing

/// Folders have a matrix for each expert, GGUF files a stack of them.
@Suite("tensors of experts")
struct ExpertTensorTests {
    private static func model() throws -> Checkpoint {
        var model = try DescribedModels.folder(try #require(Architecture.named(class: "Qwen3MoeForCausalLM")))
        for (index, tensor) in model.tensors.enumerated() where tensor.name.contains(".experts.") {
            // Every element of expert 3 in layer 1 is 13.
            let numbers = tensor.name.split(separator: ".").compactMap { Int($0) }
            let value = Float(10 * numbers[0] + numbers[1])
            model.tensors[index] = Tensor(
                name: tensor.name, dtype: .f32, shape: tensor.shape, recipe: .computed(Constant(value: value)))
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

    private static func values(_ tensor: Tensor) throws -> [Float] {
        try tensor.withBytes(rows: 0..<tensor.rowCount) { bytes in
            (0..<tensor.count).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
        }
    }

    @Test("the matrices of all experts are stacked in their order, and taken apart again")
    func bothWays() throws {
        let model = try ExpertTensorTests.model()
        let gguf = try Convert(to: .gguf, dtype: .f32).apply(to: model)
        let stack = try #require(gguf.tensor(named: "blk.1.ffn_up_exps.weight"))
        #expect(stack.shape == [4, 24, 32])
        let expected: [Float] = (0..<4).flatMap { Array(repeating: Float(10 + $0), count: 24 * 32) }
        #expect(try ExpertTensorTests.values(stack) == expected)
        #expect(gguf.metadata["general.size_label"] != nil)
        let folder = TemporaryFolder()
        let file = try CheckpointWriter(threads: 2).write(OutputPlan(gguf), to: folder("m.gguf"))
        let back = try Convert(to: .folder).apply(to: file)
        for tensor in model.tensors where tensor.name.contains(".experts.") {
            let found = try #require(back.tensor(named: tensor.name))
            #expect(found.shape == tensor.shape)
            // A part of the stack is a range of its file.
            #expect("\(found.recipe)".hasPrefix("bytes "))
            #expect(try ExpertTensorTests.values(found) == ExpertTensorTests.values(tensor))
        }
    }

    @Test("an expert that is missing, too many or of another shape is named")
    func wrong() throws {
        let model = try ExpertTensorTests.model()
        let name = "model.layers.2.mlp.experts.3.up_proj.weight"
        var changed = model
        changed.tensors.removeAll { $0.name == name }
        expectRefusal("'\(name)' is missing") { try Convert(to: .gguf).apply(to: changed) }
        changed = model
        let extra = "model.layers.2.mlp.experts.4.up_proj.weight"
        changed.tensors.append(Models.zeros(extra, [24, 32], .f32))
        expectRefusal("'\(extra)'") { try Convert(to: .gguf).apply(to: changed) }
        changed = model
        let index = try #require(model.tensors.firstIndex { $0.name == name })
        changed.tensors[index] = Models.zeros(name, [24, 16], .f32)
        expectRefusal("'\(name)'") { try Convert(to: .gguf).apply(to: changed) }
    }

    @Test("what llama.cpp takes for granted is refused when the model has it otherwise")
    func inexpressible() throws {
        for (key, value) in [("norm_topk_prob", JSON.bool(false)), ("mlp_only_layers", .array([.int(1)]))] {
            var model = try ExpertTensorTests.model()
            model.config?[key] = value
            if key == "mlp_only_layers" {
                model.tensors.removeAll { $0.name.hasPrefix("model.layers.1.mlp.") }
                for (part, shape) in [("gate", [48, 32]), ("up", [48, 32]), ("down", [32, 48])] {
                    model.tensors.append(Models.zeros("model.layers.1.mlp.\(part)_proj.weight", shape, .f32))
                }
            }
            expectRefusal("'\(key)' is \(value.compact), which GGUF's qwen3moe cannot say") {
                try Convert(to: .gguf).apply(to: model)
            }
        }
    }
}
