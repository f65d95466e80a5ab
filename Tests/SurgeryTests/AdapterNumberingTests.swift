import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing

/// Adapters of the fixture, which has 12 layers.
@Suite("adapters of a model that was cut")
struct AdapterNumberingTests {
    @Test(
        "merging, then cutting, is cutting, then merging, to the byte",
        arguments: ["plain", "patterns", "plain.gguf", "mlx"])
    func commutes(name: String) throws {
        let base = try Checkpoint.open(Fixture.model), path = Fixture.path("adapters/" + name)
        let merged = try MergeAdapters([.init(Adapter(path: path))]).apply(to: base)
        let layers = Set(
            merged.tensors.compactMap { tensor -> Int? in
                guard case .computed = tensor.recipe else { return nil }
                return tensor.name.split(separator: ".").dropFirst(2).first.flatMap { Int($0) }
            })
        try #require(!layers.isEmpty)
        // Layers that the adapter changes, and others.
        for runs in [LayerRuns([0..<1, 6..<9]), LayerRuns([1..<2]), LayerRuns([10..<12]), LayerRuns([3..<5, 7..<8])] {
            if layers.isSubset(of: runs.runs.flatMap { $0 }) { continue }
            let first = try CutLayers(layers: runs).apply(to: merged)
            let cut = try CutLayers(layers: runs).apply(to: base)
            let numbering = AdapterNumbering(dropped: runs, left: 12 - runs.count, kind: .original)
            let second = try MergeAdapters([.init(Adapter(path: path, numbering: numbering))]).apply(to: cut)
            #expect(first.tensors.map(\.name) == second.tensors.map(\.name))
            for (a, b) in zip(first.tensors, second.tensors) {
                #expect(try a.dtype == b.dtype && Models.bytes(a) == Models.bytes(b), "\(a.name)")
            }
        }
    }

    @Test(
        "an adapter with layers that the base lost is refused with the option that names them",
        arguments: ["plain", "plain.gguf", "mlx"])
    func hint(name: String) throws {
        let base = try CutLayers(layers: LayerRuns([3..<5])).apply(to: Checkpoint.open(Fixture.model))
        let error = #expect(throws: CheckpointError.self) {
            try MergeAdapters([.init(Adapter(path: Fixture.path("adapters/" + name)))]).apply(to: base)
        }
        #expect(error?.hint?.contains("has 10 layers; if others were cut after the training") == true)
        #expect(error?.hint?.contains("--adapter-dropped") == true)
    }

    @Test(
        "the layers that an adapter names tell how it numbers them, or it is asked for",
        arguments: [
            // Of eight layers two were cut.
            ([0, 7], nil, "original"), ([0, 1, 2, 3, 4, 5], nil, "cut"), ([0, 5], nil, "names 2 layers up to layer 5"),
            ([0, 5], .original, "original"), ([0, 5], .cut, "cut"), ([0, 1, 2, 3, 4, 5], .original, "original"),
            ([6], .cut, "names layer 6; the model has 6 layers after the cut"),
            ([8], nil, "names layer 8; the model had 8 layers before the cut"), ([], nil, "cut"),
        ] as [([Int], AdapterNumbering.Kind?, String)])
    func kinds(layers: [Int], stated: AdapterNumbering.Kind?, expected: String) throws {
        let folder = TemporaryFolder()
        let names =
            layers.map { "base_model.model.model.layers.\($0).q_proj.lora_A.weight" } + [
                "base_model.model.lm_head.lora_A.weight"
            ]
        let file = SafetensorsBytes(names.map { ($0, "F32", [1, 1], littleEndian([Float(1)])) })
        let adapter = try Checkpoint.open(folder.write("adapter_model.safetensors", file.bytes))
        let numbering = AdapterNumbering(dropped: LayerRuns([2..<4]), left: 6, kind: stated)
        do {
            #expect(try numbering.kind(of: adapter).rawValue == expected)
        } catch {
            #expect(error.description.contains(expected))
        }
    }
}
