import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing

@Suite("runs of layers")
struct LayerRunsTests {
    @Test(
        "ranges become a union in order, overlapping and adjacent ones one run",
        arguments: [
            ([], []), ([3..<3], []), ([9..<12, 3..<4, 7..<8], [3..<4, 7..<8, 9..<12]),
            ([3..<5, 4..<8, 20..<21], [3..<8, 20..<21]), ([3..<5, 5..<6], [3..<6]), ([1..<9, 2..<3, 1..<9], [1..<9]),
        ] as [([Range<Int>], [Range<Int>])])
    func union(ranges: [Range<Int>], runs: [Range<Int>]) {
        #expect(LayerRuns(ranges).runs == runs)
        #expect(LayerRuns(ranges).count == Set(ranges.joined()).count)
    }

    @Test("words name single layers and runs")
    func words() {
        #expect(LayerRuns([3..<4]).words == "layer 3")
        #expect(LayerRuns([21..<29]).words == "layers 21 to 28")
        #expect(LayerRuns([3..<4, 7..<8]).words == "layers 3 and 7")
        #expect(LayerRuns([3..<4, 7..<8, 9..<12]).words == "layers 3, 7 and 9 to 11")
        #expect(LayerRuns([3..<4, 9..<12]).texts == ["3:4", "9:12"])
    }

    /// Which layers are left is counted here; the tensors are those of the fixture, byte for byte.
    @Test("several runs are cut with the numbers of the whole model")
    func cut() throws {
        let model = try Models.fixture()
        let dropped: Set<Int> = [0, 3, 4, 9, 11]
        let result = try CutLayers(layers: LayerRuns([3..<5, 0..<1, 11..<12, 9..<10])).apply(to: model)
        let kept = (0..<12).filter { !dropped.contains($0) }
        #expect(result.config?["num_hidden_layers"]?.int == 7)
        #expect(result.tensors.count == model.tensors.count - 5 * 9)
        for (number, layer) in kept.enumerated() {
            for suffix in ["mlp.down_proj.weight", "input_layernorm.weight"] {
                let found = try #require(result.tensor(named: "model.layers.\(number).\(suffix)"))
                let original = try #require(model.tensor(named: "model.layers.\(layer).\(suffix)"))
                #expect(try Models.bytes(found) == Models.bytes(original))
            }
        }
    }

    @Test("a run beyond the layers is refused, whichever it is")
    func beyond() throws {
        let error = #expect(throws: CheckpointError.self) {
            try CutLayers(layers: LayerRuns([1..<2, 11..<13])).apply(to: Models.fixture())
        }
        #expect(error?.description.contains("11:13 are out of range; there are 12") == true)
    }

    @Test("an importance matrix of the whole model goes to the layers that are left")
    func importance() throws {
        let matrix = try ImportanceMatrix(path: Fixture.path("importance/matrix.gguf"))
        let runs = LayerRuns([2..<3, 5..<8])
        let cut = try Models.fixture().applying([CutLayers(layers: runs), Convert(to: .gguf)])
        var settings = Quantize.Settings(try #require(Mixture.named("Q4_K_S")))
        func bytes(_ model: Checkpoint, _ dropped: LayerRuns, _ name: String) throws -> [UInt8] {
            settings.importance = Importance(matrix, dropped: dropped)
            let result = try Quantize(settings).apply(to: model)
            let tensor = try #require(result.tensor(named: name))
            return try Models.bytes(tensor)
        }
        let whole = try Convert(to: .gguf).apply(to: Models.fixture())
        // Layers 0 to 7 of the cut model are 0 1 3 4 8 9 10 11 of the whole one. Nothing before the attention's query
        // has a type that depends on the number of layers.
        for (layer, original) in [(1, 1), (2, 3), (3, 4), (4, 8), (7, 11)] {
            #expect(
                try bytes(cut, runs, "blk.\(layer).attn_q.weight")
                    == bytes(whole, LayerRuns(), "blk.\(original).attn_q.weight"))
        }
    }

    @Test("two runs that differ in what an importance matrix is of have plans of their own")
    func identity() throws {
        let matrix = try ImportanceMatrix(path: Fixture.path("importance/matrix.gguf"))
        let cut = try Models.fixture().applying([CutLayers(layers: 3..<6), Convert(to: .gguf)])
        func identity(_ dropped: Range<Int>) throws -> String {
            var settings = Quantize.Settings(try #require(Mixture.named("Q4_K_S")))
            settings.importance = Importance(matrix, dropped: dropped)
            return try OutputPlan(Quantize(settings).apply(to: cut)).identity
        }
        #expect(try identity(3..<6) == identity(3..<6))
        #expect(try identity(3..<6) != identity(4..<7))
    }
}
