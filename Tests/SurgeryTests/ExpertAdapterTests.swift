import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing

/// PEFT multiplies the matrices of a parameter of experts as `o r e, e r i -> e o i`: row `e * ranks + r` of A belongs to expert e,
/// and so does column `r * experts + e` of B.
@Suite("adapters of experts between containers")
struct ExpertAdapterTests {
    static let (experts, rank, hidden, width) = (4, 2, 32, 48)
    static let module = "model.layers.2.mlp.experts"
    private static let prefix = "base_model.model." + module
    /// Gate and up lie inside what is wrapped around down.
    static let names = [
        ".base_layer.lora_A.weight", ".base_layer.lora_B.weight", ".lora_A.weight", ".lora_B.weight",
    ].map { prefix + $0 }
    private static let shapes = [
        [experts * rank, hidden], [2 * width, rank * experts], [experts * rank, width], [hidden, rank * experts],
    ]

    let base: Checkpoint
    let folder = TemporaryFolder()

    init() throws { base = try DescribedModels.folder(#require(Architecture.named(class: "MixtralForCausalLM"))) }

    /// Small whole numbers, so that products and sums are exact.
    private static func value(_ seed: Int, _ row: Int, _ column: Int) -> Float {
        Float((seed * 31 + row * 7 + column * 13) % 11 - 5)
    }

    static func values(_ seed: Int) -> [Float] {
        let shape = shapes[seed]
        return (0..<shape[0]).flatMap { row in (0..<shape[1]).map { value(seed, row, $0) } }
    }

    private func adapter(_ name: String, _ tensors: [(String, [Int], [Float])], _ settings: String) -> String {
        let path = folder.makeFolder("\(name)\(folder.names.count)")
        Files.write(
            path + "/adapter_config.json", Array(#"{"peft_type": "LORA", "r": 2, "lora_alpha": 4, \#(settings)}"#.utf8))
        Files.write(
            path + "/adapter_model.safetensors",
            SafetensorsBytes(tensors.map { ($0.0, "F32", $0.1, littleEndian($0.2)) }).bytes)
        return path
    }

    func stacked() -> String {
        adapter(
            "stacked", (0..<4).map { (Self.names[$0], Self.shapes[$0], Self.values($0)) },
            #""target_modules": [], "target_parameters": ["2.mlp.experts.gate_up_proj", "2.mlp.experts.down_proj"]"#)
    }

    /// The same with a module for each expert.
    func apart(
        modules: String = #"["w1", "w2", "w3"]"#,
        changing change: (inout [(String, [Int], [Float])]) -> Void = { _ in },
        settings: String = ""
    ) -> String {
        var tensors: [(String, [Int], [Float])] = []
        for expert in 0..<Self.experts {
            for (part, seed, first, outputs) in [
                ("w1", 0, 0, Self.width), ("w3", 0, Self.width, Self.width), ("w2", 2, 0, Self.hidden),
            ] {
                let name = "base_model.model.model.layers.2.block_sparse_moe.experts.\(expert).\(part)."
                let inputs = Self.shapes[seed][1]
                tensors.append(
                    (
                        name + "lora_A.weight", [Self.rank, inputs],
                        (0..<Self.rank).flatMap { rank in
                            (0..<inputs).map { Self.value(seed, expert * Self.rank + rank, $0) }
                        }
                    ))
                tensors.append(
                    (
                        name + "lora_B.weight", [outputs, Self.rank],
                        (0..<outputs).flatMap { output in
                            (0..<Self.rank).map { Self.value(seed + 1, first + output, $0 * Self.experts + expert) }
                        }
                    ))
            }
        }
        change(&tensors)
        return adapter(
            "apart", tensors, #""layers_to_transform": [2], "target_modules": \#(modules)"# + settings)
    }

    func converted(_ path: String, to form: Checkpoint.Form = .gguf) throws -> Checkpoint {
        try ConvertAdapter(to: form, base: base).apply(to: Checkpoint.open(path))
    }

    func written(_ checkpoint: Checkpoint, _ name: String) throws -> String {
        try CheckpointWriter(threads: 2).write(OutputPlan(checkpoint), to: folder(name))
        return folder(name)
    }

    @Test("a parameter of all experts becomes the stacks that llama.cpp has for gate, up and down")
    func toGGUF() throws {
        for (index, path) in [stacked(), apart()].enumerated() {
            let found = try converted(path)
            #expect(found.tensors.count == 6 && found.metadata["adapter.lora.alpha"] == .f32(4))
            for (part, seed, first, outputs) in [
                ("gate", 0, 0, Self.width), ("up", 0, Self.width, Self.width), ("down", 2, 0, Self.hidden),
            ] {
                let inputs = Self.shapes[seed][1], name = "blk.2.ffn_\(part)_exps.weight."
                let a = try #require(found.tensor(named: name + "lora_a"))
                let b = try #require(found.tensor(named: name + "lora_b"))
                #expect(a.shape == [Self.experts, Self.rank, inputs] && b.shape == [Self.experts, outputs, Self.rank])
                #expect(try Models.floats(a) == Self.values(seed), "\(index) \(part)")
                let expected = (0..<Self.experts).flatMap { expert in
                    (0..<outputs).flatMap { output in
                        (0..<Self.rank).map { Self.value(seed + 1, first + output, $0 * Self.experts + expert) }
                    }
                }
                #expect(try Models.floats(b) == expected, "\(index) \(part)")
            }
        }
    }

    @Test("back from GGUF the tensors are PEFT's, and the settings name the parameters of that layer alone")
    func back() throws {
        let file = try written(converted(stacked()), "x.gguf")
        let back = try Checkpoint.open(written(converted(file, to: .folder), "back"))
        #expect(Set(back.tensors.map(\.name)) == Set(Self.names))
        for (index, name) in Self.names.enumerated() {
            let tensor = try #require(back.tensor(named: name))
            #expect(try tensor.shape == Self.shapes[index] && Models.floats(tensor) == Self.values(index))
        }
        let text = try #require(back.companion("adapter_config.json")).contents
        let config = try #require(JSON.parse(String(decoding: text, as: UTF8.self)).object)
        #expect(
            config["target_parameters"]
                == .array(["2.mlp.experts.down_proj", "2.mlp.experts.gate_up_proj"].map(JSON.string)))
        #expect(config["target_modules"] == .array([]) && config["r"] == .int(2) && config["lora_alpha"] == .int(4))
    }

    @Test("merged into a GGUF model the experts have the weights that they have in a folder, converted")
    func merged() throws {
        for path in [stacked(), apart()] {
            let adapter = try Adapter(path: path)
            let first = try Convert(to: .gguf, dtype: .f32).apply(to: MergeAdapters([.init(adapter)]).apply(to: base))
            let second = try MergeAdapters([.init(adapter)]).apply(to: Convert(to: .gguf, dtype: .f32).apply(to: base))
            var changed = 0
            for tensor in first.tensors where tensor.name.hasPrefix("blk.2.ffn_") {
                let (found, expected) = (
                    try Models.floats(second.tensor(named: tensor.name)), try Models.floats(tensor)
                )
                #expect(found == expected, "\(tensor.name)")
                if expected.contains(where: { $0 != 0 }) { changed += 1 }
            }
            #expect(changed == 3)
        }
    }

    @Test("gate and up with an A each become one parameter with the ranks of both")
    func ranks() throws {
        let path = apart(changing: { tensors in
            for index in tensors.indices where tensors[index].0.hasSuffix("w3.lora_A.weight") {
                tensors[index].2 = tensors[index].2.map { 1 - $0 }
            }
        })
        let back = try written(converted(written(converted(path), "x.gguf"), to: .folder), "back")
        let stored = try Checkpoint.open(back)
        #expect(stored.tensor(named: Self.names[0])?.shape == [2 * Self.experts * Self.rank, Self.hidden])
        #expect(stored.tensor(named: Self.names[2])?.shape == [Self.experts * Self.rank, Self.width])
        let first = try MergeAdapters([.init(Adapter(path: path))]).apply(to: base)
        let second = try MergeAdapters([.init(Adapter(path: back))]).apply(to: base)
        for (a, b) in zip(first.tensors, second.tensors) where a.name.contains(".experts.") {
            #expect(try Models.floats(a) == Models.floats(b), "\(a.name)")
        }
    }

    @Test("an expert without a change has zeros, and another scale is in its B")
    func uneven() throws {
        let path = apart(
            changing: { $0.removeAll { $0.0.contains("experts.1.") } },
            settings:
                #", "exclude_modules": ["experts.1.w1", "experts.1.w2", "experts.1.w3"], "alpha_pattern": {"experts.3.w2": 8}"#
        )
        let down = try #require(converted(path).tensor(named: "blk.2.ffn_down_exps.weight.lora_b"))
        let values = try Models.floats(down), size = Self.hidden * Self.rank
        #expect(values[size..<2 * size].allSatisfy { $0 == 0 })
        // alpha is 8 there and 4 elsewhere.
        #expect(values[3 * size + 5] == 2 * Self.value(3, 2, 1 * Self.experts + 3))
    }

    @Test("another number of experts, and trained norms of an expert, are refused by name")
    func refusals() throws {
        let path = try written(converted(stacked()), "x.gguf")
        var other = try DescribedModels.folder(#require(Architecture.named(class: "MixtralForCausalLM")))
        other.config?["num_local_experts"] = .int(3)
        other.tensors.removeAll { $0.name.contains("experts.3.") }
        expectRefusal("another model") {
            try ConvertAdapter(to: .folder, base: other).apply(to: Checkpoint.open(path))
        }
        let norms = apart(
            changing: { tensors in
                for (name, shape, _) in tensors where name.hasSuffix("lora_B.weight") {
                    tensors.append(
                        (
                            name.replacing("lora_B.weight", with: "lora_magnitude_vector"), [shape[0]],
                            Array(repeating: 1, count: shape[0])
                        ))
                }
            }, settings: #", "use_dora": true"#)
        expectRefusal("has trained norms (DoRA)") { try converted(norms) }
        expectRefusal("of which a stack can hold only a plain product") {
            let model = try Convert(to: .gguf, dtype: .f32).apply(to: base)
            return try MergeAdapters([.init(Adapter(path: norms))]).apply(to: model)
        }
    }
}
