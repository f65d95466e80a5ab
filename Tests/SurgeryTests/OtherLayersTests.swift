import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing

@Suite("what layers of a GGUF file take from other layers")
struct OtherLayersTests {
    @Test("a layer whose indices a later one uses stays with it")
    func sharedIndices() throws {
        let types = GGUFValue.array(elementType: 7, [true, false, true, false, false].map(GGUFValue.bool))
        let model = try Models.gguf("glm-dsa", layers: 5, [("attention.indexer.types", types)])
        expectRefusal("'glm-dsa.attention.indexer.types' says that layer 3 uses what layer 2 computes") {
            try CutLayers(layers: 1..<3).apply(to: model)
        }
        let result = try CutLayers(layers: 2..<5).apply(to: model)
        #expect(result.metadata["glm-dsa.attention.indexer.types"]?.array == [.bool(true), .bool(false)])
        // Layers with a window have no indices.
        let windows = GGUFValue.array(elementType: 7, [false, true, false, true, true].map(GGUFValue.bool))
        let mixed = try Models.gguf(
            "dots3note", layers: 5, [("attention.indexer.types", types), ("attention.sliding_window_pattern", windows)])
        #expect(try CutLayers(layers: 1..<3).apply(to: mixed).layerCount == 3)
    }

    /// llama.cpp makes its graph with the size of layer 0 (`n_rot (hparams.n_rot())`), and Laguna's model reads it for all
    /// layers without a window.
    @Test("the layer 0 stays of its kind where llama.cpp takes sizes of all layers from it")
    func firstLayer() throws {
        // Laguna has a window in all but every fourth layer, from 0.
        let sizes: [(String, GGUFValue)] = [("rope.dimension_count", .u32(8)), ("attention.sliding_window", .u32(4))]
        let model = try Models.gguf("laguna", layers: 8, sizes + [("rope.dimension_count_swa", .u32(16))])
        expectRefusal(
            "'laguna.rope.dimension_count_swa' is 16, and llama.cpp reads the size of all layers from the first"
        ) {
            try CutLayers(layers: 0..<1).apply(to: model)
        }
        for cut in [0..<4, 1..<2, 7..<8] { #expect(try CutLayers(layers: cut).apply(to: model).layerCount < 8) }
        let alike = try Models.gguf("laguna", layers: 8, sizes + [("rope.dimension_count_swa", .u32(8))])
        #expect(try CutLayers(layers: 0..<1).apply(to: alike).layerCount == 7)
        // Gemma 4 reads the size of each layer.
        let pattern = GGUFValue.array(elementType: 7, [false, true, true, true].map(GGUFValue.bool))
        let byLayer = try Models.gguf(
            "gemma4", layers: 4,
            sizes + [("rope.dimension_count_swa", .u32(16)), ("attention.sliding_window_pattern", pattern)])
        #expect(try CutLayers(layers: 0..<1).apply(to: byLayer).layerCount == 3)
        let heads = GGUFValue.array(elementType: 4, [4, 8, 8].map(GGUFValue.u32))
        let derived = try Models.gguf("any", layers: 3, [("attention.head_count", heads)])
        expectRefusal("'any.attention.head_count' is 4 in the first layer and 8 in layer 1") {
            try CutLayers(layers: 0..<1).apply(to: derived)
        }
        #expect(try CutLayers(layers: 1..<2).apply(to: derived).layerCount == 2)
    }
}
