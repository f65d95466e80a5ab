import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing

@Suite("merging experts of mlx-lm")
struct MLXExpertTests {
    /// How files store experts: mixtral's and Qwen's matrices, stacks as [outputs, inputs] and as [inputs, outputs], mlx-lm's own.
    enum Storage: CaseIterable { case numbered, named, stacks, turnedStacks, same }

    static let block = "model.layers.0.mlp."
    /// Experts, outputs of gate and up, inputs.
    static let (count, outputs, inputs) = (2, 2, 3)

    /// A model of one layer with experts of zeros.
    private func base(_ storage: Storage) throws -> Checkpoint {
        let (block, count, outputs, inputs) = (Self.block, Self.count, Self.outputs, Self.inputs)
        var base = try Models.named([], config: #"{"num_hidden_layers": 1}"#)
        func apart(_ names: [String]) -> [Tensor] {
            (0..<count).flatMap { expert in
                names.enumerated().map { index, name in
                    Models.zeros(
                        block + "experts.\(expert).\(name).weight", index == 2 ? [inputs, outputs] : [outputs, inputs])
                }
            }
        }
        base.tensors =
            switch storage {
            case .numbered: apart(["w1", "w3", "w2"])
            case .named: apart(["gate_proj", "up_proj", "down_proj"])
            case .stacks:
                [
                    Models.zeros(block + "experts.gate_up_proj", [count, 2 * outputs, inputs]),
                    Models.zeros(block + "experts.down_proj", [count, inputs, outputs]),
                ]
            case .turnedStacks:
                [
                    Models.zeros(block + "experts.gate_up_proj", [count, inputs, 2 * outputs]),
                    Models.zeros(block + "experts.down_proj", [count, outputs, inputs]),
                ]
            case .same:
                ["gate_proj", "up_proj", "down_proj"].map { name in
                    let shape = name == "down_proj" ? [inputs, outputs] : [outputs, inputs]
                    return Models.zeros(block + "switch_mlp.\(name).weight", [count] + shape)
                }
            }
        return base
    }

    /// Matrices whose values tell module, expert and index, so that each element of a change is known.
    private func adapter(_ modules: [String]) -> MLXAdapterFolder {
        var folder = MLXAdapterFolder()
        folder.parameters["keys"] = "[" + modules.map { "\"mlp.switch_mlp.\($0)\"" }.joined(separator: ", ") + "]"
        for name in modules {
            let (outputs, inputs) = name == "down_proj" ? (Self.inputs, Self.outputs) : (Self.outputs, Self.inputs)
            folder.add(Self.block + "switch_mlp.\(name).lora_a", [Self.count, 1, inputs]) { Float(1 + $0) }
            folder.add(Self.block + "switch_mlp.\(name).lora_b", [Self.count, outputs, 1]) {
                Self.factor(name) * Float(1 + $0)
            }
        }
        return folder
    }

    private static func factor(_ name: String) -> Float { name == "gate_proj" ? 10 : name == "up_proj" ? 100 : 1000 }

    /// The change of a module, [outputs, inputs], by hand: scale 0.5 times B times A.
    private func change(_ name: String, _ expert: Int) -> [[Float]] {
        let (outputs, inputs) = name == "down_proj" ? (Self.inputs, Self.outputs) : (Self.outputs, Self.inputs)
        return (0..<outputs).map { output in
            (0..<inputs).map { input in
                0.5 * Self.factor(name) * Float(1 + expert * outputs + output) * Float(1 + expert * inputs + input)
            }
        }
    }

    private func turned(_ rows: [[Float]]) -> [[Float]] { rows[0].indices.map { column in rows.map { $0[column] } } }

    @Test("each expert gets its own change, however the files store experts", arguments: Storage.allCases)
    func storage(storage: Storage) throws {
        let merged = try adapter(["gate_proj", "up_proj", "down_proj"]).merged(into: base(storage))
        func values(_ name: String) throws -> [Float] { try Models.floats(merged.tensor(named: Self.block + name)) }
        let experts = 0..<Self.count
        for (name, number) in [("gate_proj", "w1"), ("up_proj", "w3"), ("down_proj", "w2")] {
            switch storage {
            case .numbered, .named:
                for expert in experts {
                    let stored = storage == .numbered ? number : name
                    #expect(try values("experts.\(expert).\(stored).weight") == change(name, expert).flatMap { $0 })
                }
            case .same:
                #expect(try values("switch_mlp.\(name).weight") == experts.flatMap { change(name, $0).flatMap { $0 } })
            case .stacks, .turnedStacks: break
            }
        }
        if storage == .stacks || storage == .turnedStacks {
            let isTurned = storage == .turnedStacks
            let up = experts.map { change("gate_proj", $0) + change("up_proj", $0) }
            let down = experts.map { change("down_proj", $0) }
            #expect(try values("experts.gate_up_proj") == up.flatMap { (isTurned ? turned($0) : $0).flatMap { $0 } })
            #expect(try values("experts.down_proj") == down.flatMap { (isTurned ? turned($0) : $0).flatMap { $0 } })
        }
    }

    @Test("half of a stack stays where only the other half was trained")
    func half() throws {
        let merged = try adapter(["up_proj"]).merged(into: base(.stacks))
        let values = try Models.floats(merged.tensor(named: Self.block + "experts.gate_up_proj"))
        let zeros = [Float](repeating: 0, count: Self.outputs * Self.inputs)
        #expect(values == (0..<Self.count).flatMap { zeros + change("up_proj", $0).flatMap { $0 } })
    }

    @Test("another number of experts, and gates that alternate with ups, are refused")
    func refusals() throws {
        var folder = adapter(["up_proj"])
        folder.tensors[0] = (folder.tensors[0].name, [3, 1, 3], [Float](repeating: 1, count: 9))
        folder.tensors[1] = (folder.tensors[1].name, [3, 2, 1], [Float](repeating: 1, count: 6))
        expectRefusal("is for 3 experts, and a layer") { try folder.merged(into: base(.named)) }
        expectRefusal("is for a weight of [3, 2, 3]") { try folder.merged(into: base(.same)) }
        var alternating = try base(.stacks)
        alternating.tensors.append(
            Models.zeros(Self.block + "experts.gate_up_proj_bias", [Self.count, 2 * Self.outputs]))
        expectRefusal("alternate in \(Self.block)experts.gate_up_proj") {
            try adapter(["up_proj"]).merged(into: alternating)
        }
    }

    @Test("whole weights of experts go to the matrices of each")
    func wholes() throws {
        var folder = MLXAdapterFolder()
        folder.settings["fine_tune_type"] = "\"full\""
        folder.parameters = [:]
        for (name, shape) in [("gate_proj", [2, 2, 3]), ("up_proj", [2, 2, 3]), ("down_proj", [2, 3, 2])] {
            folder.add(Self.block + "switch_mlp.\(name).weight", shape) { Float($0) }
        }
        let merged = try folder.merged(into: base(.named))
        #expect(
            try Models.floats(merged.tensor(named: Self.block + "experts.1.down_proj.weight")) == [6, 7, 8, 9, 10, 11])
        #expect(try Models.floats(merged.tensor(named: Self.block + "experts.0.up_proj.weight")) == [0, 1, 2, 3, 4, 5])
        expectRefusal("stores in \(Self.block)experts.gate_up_proj") { try folder.merged(into: base(.stacks)) }
    }
}
