import Checkpoints
import Formats
import Surgery
import Testing

/// Bases that hold all experts of a layer in one tensor, as transformers 5 has them in memory: `gate_up_proj`
/// [experts, 2 * width, hidden], of each expert the rows of gate and then those of up, and `down_proj`.
extension ExpertAdapterTests {
    /// The same base with its experts together. `turned` has the matrices [inputs, outputs], as some published folders do.
    private func together(turned: Bool = false) -> Checkpoint {
        var result = base
        result.tensors = base.tensors.filter { !$0.name.contains(".experts.") }
        for index in result.tensors.indices {
            result.tensors[index].name.replace(".block_sparse_moe.", with: ".mlp.")
        }
        for layer in 0..<DescribedModels.layers {
            for (name, outputs, inputs) in [
                ("gate_up_proj", 2 * Self.width, Self.hidden), ("down_proj", Self.hidden, Self.width),
            ] {
                let shape = [Self.experts] + (turned ? [inputs, outputs] : [outputs, inputs])
                result.tensors.append(Models.zeros("model.layers.\(layer).mlp.experts.\(name)", shape, .f32))
            }
        }
        result.architecture = base.architecture?.placed(in: result.tensors)
        return result
    }

    @Test(
        "tensors of all experts get the changes that single experts get, of a parameter and of a module for each expert"
    )
    func mergedTogether() throws {
        for (path, turned) in [(stacked(), false), (stacked(), true), (apart(), false), (apart(), true)] {
            let edits: [any Edit] = [MergeAdapters([.init(try Adapter(path: path))]), Cast(to: .f32)]
            let first = try base.applying(edits), second = try together(turned: turned).applying(edits)
            for (name, parts, inputs) in [
                ("gate_up_proj", ["w1", "w3"], Self.hidden), ("down_proj", ["w2"], Self.width),
            ] {
                let expected = try (0..<Self.experts).flatMap { expert in
                    try parts.flatMap { part in
                        try Models.floats(
                            first.tensor(named: "model.layers.2.block_sparse_moe.experts.\(expert).\(part).weight"))
                    }
                }
                var found = try Models.floats(second.tensor(named: "\(Self.module).\(name)"))
                let size = found.count / Self.experts, outputs = size / inputs
                if turned {
                    found = found.indices.map { index in
                        let (row, column) = (index % size / inputs, index % inputs)
                        return found[index / size * size + column * outputs + row]
                    }
                }
                #expect(found == expected && expected.contains { $0 != 0 }, "\(path) \(name), turned \(turned)")
            }
        }
    }

    @Test("such a base gives the same GGUF adapter, and the same folder back")
    func convertedTogether() throws {
        for path in [stacked(), apart()] {
            let expected = try converted(path)
            let found = try ConvertAdapter(to: .gguf, base: together()).apply(to: Checkpoint.open(path))
            #expect(found.tensors.map(\.name) == expected.tensors.map(\.name))
            for (a, b) in zip(found.tensors, expected.tensors) {
                #expect(try a.shape == b.shape && Models.floats(a) == Models.floats(b), "\(a.name)")
            }
        }
        let file = try Checkpoint.open(written(converted(stacked()), "x.gguf"))
        let back = try ConvertAdapter(to: .folder, base: together()).apply(to: file)
        #expect(Set(back.tensors.map(\.name)) == Set(Self.names))
        for (index, name) in Self.names.enumerated() {
            #expect(try Models.floats(back.tensor(named: name)) == Self.values(index), "\(name)")
        }
    }

    @Test("what tensors of all experts cannot get from single experts is refused by name")
    func refusedTogether() throws {
        func merge(_ path: String, _ base: Checkpoint) throws -> Checkpoint {
            try MergeAdapters([.init(Adapter(path: path))]).apply(to: base)
        }
        var fewer = together()
        fewer.tensors = fewer.tensors.map { tensor in
            guard tensor.name.contains(".experts.") else { return tensor }
            return Models.zeros(tensor.name, [3] + tensor.shape.dropFirst(), .f32)
        }
        expectRefusal("is for expert 3, and model.layers.2.mlp.experts.gate_up_proj") { try merge(apart(), fewer) }
        var alternating = together(turned: true)
        alternating.tensors.append(
            Models.zeros(Self.module + ".gate_up_proj_bias", [Self.experts, 2 * Self.width], .f32))
        expectRefusal("whose gate and up rows alternate") { try merge(apart(), alternating) }
        let twice = apart(
            modules: #"["w1", "w2", "w3", "gate_proj"]"#,
            changing: { tensors in
                tensors += tensors.filter { $0.0.contains("experts.0.w1.") }.map {
                    ($0.0.replacing(".w1.", with: ".gate_proj."), $0.1, $0.2)
                }
            })
        expectRefusal("changes the same matrix of model.layers.2.mlp.experts.gate_up_proj as") {
            try merge(twice, together())
        }
        let wider = apart(changing: { tensors in
            for index in tensors.indices where tensors[index].0.hasSuffix("w2.lora_A.weight") {
                tensors[index].1[1] -= 8
                tensors[index].2.removeLast(8 * Self.rank)
            }
        })
        expectRefusal("is for a weight of [4, 32, 40], and model.layers.2.mlp.experts.down_proj") {
            try merge(wider, together())
        }
    }
}
