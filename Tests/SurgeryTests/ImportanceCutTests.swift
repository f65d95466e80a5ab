import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing

@Suite("importance matrices that follow a cut")
struct ImportanceCutTests {
    @Test("a cut matrix gives a cut model the weights that --imatrix-dropped gives it", arguments: ["gguf", "dat"])
    func cut(form: String) throws {
        let path = Fixture.path("importance/matrix.\(form)")
        let folder = TemporaryFolder()
        let runs = LayerRuns([2..<3, 5..<8])
        let plan = try OutputPlan(CutLayers(layers: runs).apply(to: Checkpoint.open(path)))
        _ = try CheckpointWriter(threads: 1).write(plan, to: folder("cut.gguf"))
        let (whole, cut) = (try ImportanceMatrix(path: path), try ImportanceMatrix(path: folder("cut.gguf")))
        #expect(cut.layerCount == 8)
        #expect(cut.count == whole.count - 4 * 7)
        #expect(cut.datasets == whole.datasets && cut.chunkCount == whole.chunkCount)
        // Layers 0 to 7 were 0 1 3 4 8 9 10 11.
        for (layer, original) in [0, 1, 3, 4, 8, 9, 10, 11].enumerated() {
            for name in ["attn_q", "ffn_down"] {
                let a = try #require(cut.entry("blk.\(layer).\(name).weight"))
                let b = try #require(whole.entry("blk.\(original).\(name).weight"))
                #expect(a.weights(0..<a.count) == b.weights(0..<b.count))
            }
        }
    }

    @Test("layers that were not measured, and all of them, are refused")
    func refused() throws {
        let matrix = try Checkpoint.open(Fixture.path("importance/matrix.gguf"))
        expectRefusal("the layers 10:13 are out of range; 12 were measured (0:12)") {
            try CutLayers(layers: 10..<13).apply(to: matrix)
        }
        expectRefusal("the range 0:12 is all layers that were measured") {
            try CutLayers(layers: 0..<12).apply(to: matrix)
        }
    }
}
