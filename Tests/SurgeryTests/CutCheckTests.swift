import Checkpoints
import Formats
import Surgery
import Testing

@Suite("which runs can be cut")
struct CutCheckTests {
    /// The runs that a check allows, asked for from the last one on, and those that can be cut.
    private static func runs(_ model: Checkpoint) throws -> (allowed: [Range<Int>], cut: [Range<Int>]) {
        let check = try CutCheck(model), count = model.layerCount
        let all = (0..<count).flatMap { start in (start + 1...count).map { start..<$0 } }
        return (
            all.reversed().filter(check.allows).reversed(),
            all.filter { layers in (try? CutLayers(layers: layers).apply(to: model)) != nil }
        )
    }

    @Test("are those of which a cut makes a model", arguments: Architecture.all.map(\.name))
    func known(name: String) throws {
        let folder = try DescribedModels.folder(try #require(Architecture.all.first { $0.name == name }))
        for model in [folder, try Convert(to: .gguf).apply(to: folder)] {
            let (allowed, cut) = try CutCheckTests.runs(model)
            #expect(allowed == cut)
        }
    }

    @Test("are few where settings go by a period, and none where layers differ without a setting")
    func forbidden() throws {
        let model = try Models.counted(layers: 12, config: #"{"attn_layer_period":4,"attn_layer_offset":2}"#)
        let (allowed, cut) = try CutCheckTests.runs(model)
        #expect(allowed == cut)
        #expect(allowed.contains(3..<7) && allowed.contains(11..<12) && !allowed.contains(1..<2))
        var uneven = try Models.counted(layers: 4, config: "{}")
        uneven.tensors.append(Models.zeros("m.layers.2.extra", [2, 2]))
        #expect(try CutCheckTests.runs(uneven).allowed.isEmpty)
    }
}
