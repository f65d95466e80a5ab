import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing

@Suite("adapters of experts extracted from two models")
struct ExpertExtractionTests {
    /// How files store the experts of a layer.
    enum Storage: CaseIterable { case modules, stacks, turnedStacks }

    private static let block = "model.layers.0.block_sparse_moe."
    private static let (experts, width, hidden) = (3, 6, 10)

    /// Gate and up behind each other, and down, [outputs, inputs] of each expert; expert 1 stays as it is in a training, which adds
    /// products of rank 2 to the others.
    private static func matrices(isTuned: Bool) -> (up: [[Float]], down: [[Float]]) {
        func matrices(_ seed: UInt64, _ outputs: Int, _ inputs: Int) -> [[Float]] {
            (0..<experts).map { expert in
                var generator = SeededGenerator(seed: seed + UInt64(expert))
                var values = generator.floats(outputs * inputs)
                let (left, right) = (generator.floats(outputs * 2), generator.floats(2 * inputs))
                guard isTuned, expert != 1 else { return values }
                for index in values.indices {
                    for rank in 0..<2 {
                        values[index] += left[index / inputs * 2 + rank] * right[rank * inputs + index % inputs]
                    }
                }
                return values
            }
        }
        return (matrices(1, 2 * width, hidden), matrices(11, hidden, width))
    }

    private static func model(_ storage: Storage, isTuned: Bool) throws -> Checkpoint {
        let (up, down) = matrices(isTuned: isTuned)
        func turned(_ values: [Float], _ columns: Int) -> [Float] {
            (0..<columns).flatMap { column in stride(from: column, to: values.count, by: columns).map { values[$0] } }
        }
        var tensors = [Trained.tensor(block + "gate.weight", [3, 10], (0..<30).map { Float($0) + (isTuned ? 1 : 0) })]
        let stack = "model.layers.0.mlp.experts."
        switch storage {
        case .modules:
            for expert in 0..<experts {
                let name = block + "experts.\(expert).", half = width * hidden
                tensors += [
                    Trained.tensor(name + "w1.weight", [width, hidden], Array(up[expert].prefix(half))),
                    Trained.tensor(name + "w2.weight", [hidden, width], down[expert]),
                    Trained.tensor(name + "w3.weight", [width, hidden], Array(up[expert].suffix(half))),
                ]
            }
        case .stacks:
            tensors[0].name = "model.layers.0.mlp.gate.weight"
            tensors += [
                Trained.tensor(stack + "gate_up_proj", [experts, 2 * width, hidden], up.flatMap { $0 }),
                Trained.tensor(stack + "down_proj", [experts, hidden, width], down.flatMap { $0 }),
            ]
        case .turnedStacks:
            tensors[0].name = "model.layers.0.mlp.gate.weight"
            tensors += [
                Trained.tensor(
                    stack + "gate_up_proj", [experts, hidden, 2 * width], up.flatMap { turned($0, hidden) }),
                Trained.tensor(stack + "down_proj", [experts, width, hidden], down.flatMap { turned($0, width) }),
            ]
        }
        return try Trained.model(tensors)
    }

    @Test(
        "the adapter has PEFT's parameters, and merged into the base gives the trained model",
        arguments: Storage.allCases)
    func merged(storage: Storage) throws {
        let base = try Self.model(storage, isTuned: false), tuned = try Self.model(storage, isTuned: true)
        let result = try ExtractAdapter(ranks: RankChoice(rank: 4)).adapter(
            from: base, to: tuned, baseName: "base", threads: 2)
        // Ranks that the training did not use are left out.
        #expect(
            result.modules.map(\.name) == ["gate_up_proj", "down_proj"].map { "model.layers.0.mlp.experts." + $0 })
        #expect(result.modules.allSatisfy { $0.rank == 2 && $0.held > 0.999999 })
        let prefix = "base_model.model.model.layers.0.mlp."
        // PEFT wraps the last parameter of a module around those before it.
        #expect(
            result.adapter.tensors.map(\.name)
                == [
                    "gate.weight", "experts.base_layer.lora_A.weight", "experts.base_layer.lora_B.weight",
                    "experts.lora_A.weight", "experts.lora_B.weight",
                ].map { prefix + $0 })
        #expect(result.adapter.tensors.map(\.shape) == [[3, 10], [6, 10], [12, 6], [6, 6], [10, 6]])
        let text = result.adapter.companion("adapter_config.json")?.contents ?? []
        let config = try #require(try JSON.parse(String(decoding: text, as: UTF8.self)).object)
        #expect(
            config["target_parameters"] == .array(["experts.down_proj", "experts.gate_up_proj"].map(JSON.string)))
        #expect(config["r"] == .int(2) && config["lora_alpha"] == .int(2))
        #expect(config["modules_to_save"] == .array([.string("gate")]))

        let folder = TemporaryFolder()
        try CheckpointWriter(threads: 2).write(OutputPlan(result.adapter), to: folder("a"))
        let merged = try MergeAdapters([.init(Adapter(path: folder("a")))]).apply(to: base)
        for (found, wanted) in zip(merged.tensors, tuned.tensors) {
            let (found, wanted) = (try Models.floats(found), try Models.floats(wanted))
            #expect(zip(found, wanted).allSatisfy { abs($0 - $1) < 1e-5 } && found.count == wanted.count)
        }
    }

    @Test("experts of different ranks are filled up with zeros to the highest one")
    func ranks() throws {
        var (base, tuned) = (try Self.model(.stacks, isTuned: false), try Self.model(.stacks, isTuned: false))
        let index = try #require(tuned.tensors.firstIndex { $0.name.hasSuffix("down_proj") })
        var values = try Models.floats(tuned.tensors[index])
        // One element of expert 0, two rows and columns of expert 2.
        values[5] += 1
        values[2 * 60] += 1
        values[2 * 60 + 7] += 2
        tuned.tensors[index] = Trained.tensor(tuned.tensors[index].name, [3, 10, 6], values)
        base.path = tuned.path
        let result = try ExtractAdapter(ranks: RankChoice(energy: 0.9999)).adapter(
            from: base, to: tuned, baseName: "base", threads: 1)
        #expect(result.modules.map(\.rank) == [2])
        let a = try Models.floats(result.adapter.tensors[0])
        // Two ranks of each expert: the second one of expert 0 is empty, and both of expert 1.
        #expect(a.count == 36 && a[6..<24].allSatisfy { $0 == 0 } && a[..<6].contains { $0 != 0 })
        #expect(a[24..<30].contains { $0 != 0 } && a[30...].contains { $0 != 0 })
    }
}
