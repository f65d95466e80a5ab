import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing

@Suite("cutting layers")
struct CutLayersTests {
    private static func cut(_ layers: Range<Int>, _ checkpoint: Checkpoint) throws -> Checkpoint {
        try CutLayers(layers: layers).apply(to: checkpoint)
    }

    @Test("cutting 2:4 renumbers 4 to 2")
    func renumbers() throws {
        let result = try CutLayersTests.cut(2..<4, Models.folder(layers: 6, config: #"{"num_hidden_layers":6}"#))
        #expect(
            result.tensors.map(\.name) == ["embed", "m.layers.0.w", "m.layers.1.w", "m.layers.2.w", "m.layers.3.w"])
        #expect(result.config?["num_hidden_layers"] == .int(4))
    }

    @Test("every run of layers of the fixture can be cut, and what is kept are the same bytes", arguments: 0..<12)
    func keepsBytes(first: Int) throws {
        let model = try Models.fixture()
        for last in first + 1...12 where last - first < 12 {
            let result = try CutLayersTests.cut(first..<last, model)
            #expect(result.layerCount == 12 - (last - first))
            try result.checkConsistency()
            for tensor in result.tensors {
                let layer = result.layerPattern?.layer(of: tensor.name)
                let source = layer.map { $0 < first ? $0 : $0 + last - first }
                let name = source.map { result.layerPattern?.renumber(tensor.name, to: $0) ?? "" } ?? tensor.name
                let range = try #require(tensor.recipe.mappedRange)
                let original = try #require(model.tensor(named: name)?.recipe.mappedRange)
                #expect(range.byteOffset == original.byteOffset && range.byteCount == original.byteCount)
            }
        }
    }

    @Test("two cuts are the cut of both", arguments: 1...12)
    func associative(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let first = Int.random(in: 0...8, using: &generator)
        let middle = Int.random(in: first + 1...10, using: &generator)
        let last = Int.random(in: middle + 1...11, using: &generator)
        let lists =
            #"{"num_hidden_layers":12,"layer_types":[\#((0..<12).map { "\"\($0)\"" }.joined(separator: ","))],"#
            + #""mlp_only_layers":[0,3,5,11],"first_k_dense_replace":5,"num_kv_shared_layers":4}"#
        for model in [try Models.fixture(), try Models.folder(layers: 12, config: lists)] {
            let whole = try CutLayersTests.cut(first..<last, model)
            let left = try CutLayersTests.cut(first..<first + last - middle, CutLayersTests.cut(first..<middle, model))
            let right = try CutLayersTests.cut(first..<middle, CutLayersTests.cut(middle..<last, model))
            for steps in [left, right] {
                #expect(steps.tensors.map(\.name) == whole.tensors.map(\.name))
                #expect(steps.tensors.map(\.recipe.description) == whole.tensors.map(\.recipe.description))
                #expect(steps.config == whole.config)
            }
        }
    }

    @Test(
        "ranges that are empty, out of range or everything are refused",
        arguments: [
            (3..<3, "no layers to cut were given"),
            (0..<13, "the layers 0:13 are out of range; there are 12 (0:12)"),
            (-1..<2, "the layers -1:2 are out of range"), (12..<13, "out of range"),
            (Int.max - 1..<Int.max, "out of range"),
            (0..<12, "the range 0:12 is all 12 layers"), (Int.min..<Int.min + 1, "out of range"),
        ])
    func ranges(range: Range<Int>, message: String) throws {
        let model = try Models.fixture()
        expectRefusal(message) { try CutLayersTests.cut(range, model) }
    }

    @Test("a checkpoint without layers has none to cut")
    func noLayers() throws {
        var model = try Models.fixture()
        model.tensors = [Models.zeros("w", [2])]
        expectRefusal("so no layers to cut") { try CutLayersTests.cut(0..<1, model) }
    }

    @Test("a quantizer's file that cannot be read stops the cut: names of modules in it could not follow")
    func damagedCompanion() throws {
        var model = try Models.fixture()
        model.companions.append(
            .init(name: "quant_config.json", contents: Array(#"{"modules_to_not_convert": ["#.utf8)))
        expectRefusal("quant_config.json") { try CutLayersTests.cut(3..<5, model) }
    }

    @Test("the cut of the fixture is written, and reads back as a model of ten layers")
    func written() throws {
        let folder = TemporaryFolder()
        let model = try Models.fixture()
        let plan = try OutputPlan(CutLayersTests.cut(3..<5, model))
        let written = try CheckpointWriter(threads: 2).write(plan, to: folder("cut"))
        #expect(written.layerCount == 10)
        #expect(written.config?["num_hidden_layers"] == .int(10))
        #expect(written.companions.map(\.name) == model.companions.map(\.name))
        for (from, to) in [(2, 2), (5, 3), (11, 9)] {
            let name = "self_attn.q_proj.weight"
            let source = try Models.bytes(model.tensor(named: "model.layers.\(from).\(name)"))
            #expect(try Models.bytes(written.tensor(named: "model.layers.\(to).\(name)")) == source)
        }
        // Nothing else of the configuration has changed.
        var config = try #require(written.config)
        config["num_hidden_layers"] = .int(12)
        #expect(config == model.config)
    }

    @Test("the size label of a GGUF file follows, unless it says something else")
    func sizeLabel() throws {
        var model = try Convert(to: .gguf).apply(to: Models.fixture())
        // The name of the folder says 7m, its tensors have 7.6 million elements.
        #expect(model.metadata["general.size_label"] == .string("7M"))
        #expect(try CutLayersTests.cut(2..<8, model).metadata["general.size_label"] == .string("4.1M"))
        model.metadata["general.size_label"] = .string("tiny")
        #expect(try CutLayersTests.cut(2..<8, model).metadata["general.size_label"] == .string("tiny"))
    }
}
