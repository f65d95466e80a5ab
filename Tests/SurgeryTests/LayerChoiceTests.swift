import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing

@Suite("which tensors are the layers")
struct LayerChoiceTests {
    private static func names(_ stacks: (prefix: String, count: Int)...) -> [String] {
        stacks.flatMap { stack in (0..<stack.count).map { "\(stack.prefix).\($0).w" } }
    }

    @Test("a vision tower with more layers than the language model is none of its layers")
    func vision() throws {
        let model = try Models.named(
            LayerChoiceTests.names(("vision_tower.encoder.layers", 24), ("language_model.model.layers", 6)),
            config: #"{"text_config":{"num_hidden_layers":6},"vision_config":{"num_hidden_layers":24}}"#)
        #expect(try model.layers() == LayerPattern(prefix: "language_model.model.layers.", count: 6))
        let result = try CutLayers(layers: 1..<3).apply(to: model)
        #expect(result.config?["text_config"]?["num_hidden_layers"] == .int(4))
        #expect(result.config?["vision_config"]?["num_hidden_layers"] == .int(24))
        #expect(result.tensors.count == 28)
    }

    @Test(
        "of two stacks of one length the language model's is taken",
        arguments: ["visual.blocks", "model.vision_tower.layers", "talker.model.layers"])
    func sameLength(other: String) throws {
        let model = try Models.named(
            LayerChoiceTests.names((other, 6), ("model.layers", 6)), config: #"{"num_hidden_layers":6}"#)
        #expect(try model.layers()?.prefix == "model.layers.")
    }

    @Test(
        "the number of layers follows wherever it stands",
        arguments: [
            (#"{"llm_config":{"num_hidden_layers":6}}"#, ["llm_config", "num_hidden_layers"]),
            (#"{"language_config":{"n_layer":6}}"#, ["language_config", "n_layer"]),
            (#"{"thinker_config":{"text_config":{"num_layers":6}}}"#, ["thinker_config", "text_config", "num_layers"]),
            (#"{"n_blocks":6}"#, ["n_blocks"]), (#"{"num_transformer_layers":6}"#, ["num_transformer_layers"]),
            // A part that has a name of its own, where nothing else counts.
            (#"{"brain_config":{"num_hidden_layers":6}}"#, ["brain_config", "num_hidden_layers"]),
        ])
    func counts(config: String, path: [String]) throws {
        let model = try Models.named(LayerChoiceTests.names(("lm.layers", 6)), config: config)
        let result = try CutLayers(layers: 1..<3).apply(to: model)
        var value = JSON.object(try #require(result.config))
        for key in path { value = try #require(value[key]) }
        #expect(value == .int(4))
    }

    @Test(
        "what cannot be told is refused, with the stacks and their lengths",
        arguments: [
            (
                #"{"num_hidden_layers":6}"#, [("a.layers", 6), ("b.layers", 6)],
                "more than one stack of layers: a.layers (6), b.layers (6)"
            ),
            (
                #"{"depth":6}"#, [("a.layers", 6)],
                "no known key of config.json states the number of layers, 6 under a.layers"
            ),
            (#"{"num_hidden_layers":5}"#, [("a.layers", 6)], "'num_hidden_layers' is 5, but the tensors have 6 layers"),
            (
                #"{"num_hidden_layers":6,"text_config":{"num_hidden_layers":7}}"#, [("a.layers", 6)],
                "'text_config.num_hidden_layers' is 7, but the tensors have 6 layers"
            ),
        ])
    func refused(config: String, stacks: [(String, Int)], message: String) throws {
        let names = stacks.flatMap { stack in (0..<stack.1).map { "\(stack.0).\($0).w" } }
        let model = try Models.named(names, config: config)
        expectRefusal(message) { try CutLayers(layers: 1..<3).apply(to: model) }
    }

    @Test("a hole in the numbering names the layer that is missing")
    func hole() throws {
        let names = LayerChoiceTests.names(("m.layers", 6)).filter { $0 != "m.layers.2.w" }
        let model = try Models.named(names, config: #"{"num_hidden_layers":6}"#)
        let message = "layer 2 of 6 is missing: no tensor is named m.layers.2."
        expectRefusal(message) { try CutLayers(layers: 3..<4).apply(to: model) }
        expectRefusal(message) {
            try model.checkConsistency()
            return model
        }
        var gguf = try Models.gguf("llama", layers: 6)
        gguf.tensors.removeAll { $0.name == "blk.3.w" }
        expectRefusal("layer 3 of 6 is missing: no tensor is named blk.3.") {
            try gguf.checkConsistency()
            return gguf
        }
    }

    // MARK: encoder and decoder

    @Test(
        "of an encoder and a decoder, one is chosen, and its own number follows",
        arguments: [
            (
                #"{"is_encoder_decoder":true,"num_layers":6,"num_decoder_layers":6}"#, "decoder.block",
                "num_layers:6 num_decoder_layers:4"
            ),
            (
                #"{"is_encoder_decoder":true,"num_layers":6,"num_decoder_layers":6}"#, "encoder.block",
                "num_layers:4 num_decoder_layers:6"
            ),
            // T5 without a number for the decoder has as many as in the encoder.
            (
                #"{"model_type":"t5","is_encoder_decoder":true,"num_layers":6}"#, "decoder.block",
                "num_layers:6 num_decoder_layers:4"
            ),
            (
                #"{"model_type":"t5","is_encoder_decoder":true,"num_layers":6,"num_decoder_layers":null}"#,
                "encoder.block", "num_layers:4 num_decoder_layers:6"
            ),
            // Bart's num_hidden_layers is the encoder's.
            (
                #"{"encoder_layers":6,"decoder_layers":6,"num_hidden_layers":6}"#, "encoder.block",
                "encoder_layers:4 decoder_layers:6 num_hidden_layers:4"
            ),
            (
                #"{"encoder_layers":6,"decoder_layers":6,"num_hidden_layers":6}"#, "decoder.block",
                "encoder_layers:6 decoder_layers:4 num_hidden_layers:6"
            ),
        ])
    func sides(config: String, prefix: String, counts: String) throws {
        var model = try Models.named(
            LayerChoiceTests.names(("encoder.block", 6), ("decoder.block", 6)), config: config)
        let both = "more than one stack of layers: decoder.block (6), encoder.block (6)"
        expectRefusal(both) { try CutLayers(layers: 2..<4).apply(to: model) }
        model.layerPrefix = prefix
        let result = try CutLayers(layers: 2..<4).apply(to: model)
        let found = try #require(result.config).members.compactMap { key, value in value.int.map { "\(key):\($0)" } }
        #expect(found.joined(separator: " ") == counts)
        #expect(result.tensors.filter { $0.name.hasPrefix(prefix) }.count == 4 && result.tensors.count == 10)
        try result.checkConsistency()
    }

    @Test("a prefix that no tensor has is refused with those that there are")
    func wrongPrefix() throws {
        var model = try Models.named(LayerChoiceTests.names(("a.layers", 6)), config: #"{"num_hidden_layers":6}"#)
        model.layerPrefix = "b.layers"
        expectRefusal("has no tensors named b.layers.0.…; numbered are a.layers (6)") {
            try CutLayers(layers: 1..<2).apply(to: model)
        }
    }

    @Test("the decoder of a T5 in GGUF is counted by a key of its own, and the table of positions stays")
    func t5() throws {
        var model = try Models.gguf("t5", layers: 4, [("decoder_block_count", .u32(3))])
        model.tensors =
            LayerChoiceTests.names(("enc.blk", 4), ("dec.blk", 3)).map { Models.zeros($0, [4, 4]) }
            + [Models.zeros("dec.blk.0.attn_rel_b.weight", [2, 2])]
        expectRefusal("more than one stack of layers: dec.blk (3), enc.blk (4)") {
            try CutLayers(layers: 0..<1).apply(to: model)
        }
        model.layerPrefix = "dec.blk"
        let result = try CutLayers(layers: 0..<1).apply(to: model)
        #expect(result.metadata.setting("block_count") == .u32(4))
        #expect(result.metadata.setting("decoder_block_count") == .u32(2))
        #expect(
            result.tensors.map(\.name).suffix(3) == ["dec.blk.0.w", "dec.blk.1.w", "dec.blk.0.attn_rel_b.weight"])
    }

    // MARK: multi-token prediction

    @Test("modules for multi-token prediction are no layers, and stay behind those that are left")
    func predictors() throws {
        let config = #"{"num_hidden_layers":6,"num_nextn_predict_layers":1,"layer_types":[0,1,2,3,4,5]}"#
        let model = try Models.named(LayerChoiceTests.names(("m.layers", 7)) + ["mtp.w"], config: config)
        #expect(model.layerCount == 6)
        let result = try CutLayers(layers: 4..<6).apply(to: model)
        #expect(
            result.tensors.map(\.name)
                == ["m.layers.0.w", "m.layers.1.w", "m.layers.2.w", "m.layers.3.w", "m.layers.4.w", "mtp.w"])
        #expect(result.layerCount == 4)
        #expect(result.config?["num_nextn_predict_layers"] == .int(1))
        #expect(result.config?["layer_types"] == .array([0, 1, 2, 3].map(JSON.int)))
        // The module itself, alone or with everything that is one.
        let without = try CutLayers(layers: 6..<7).apply(to: model)
        #expect(without.config?["num_nextn_predict_layers"] == .int(0) && without.layerCount == 6)
        #expect(without.config?["num_hidden_layers"] == .int(6))
        let dropped = try DropPredictors().apply(to: model)
        #expect(dropped.tensors.count == 6 && dropped.config?["num_nextn_predict_layers"] == .int(0))
        expectRefusal("has no modules for multi-token prediction") { try DropPredictors().apply(to: dropped) }
        expectRefusal("is all 6 layers") { try CutLayers(layers: 0..<6).apply(to: model) }
    }

    @Test("in GGUF such modules are counted among the blocks")
    func predictorsInGGUF() throws {
        let model = try Models.gguf("glm4moe", layers: 7, [("nextn_predict_layers", .u32(1))])
        #expect(model.layerCount == 6)
        let result = try CutLayers(layers: 4..<6).apply(to: model)
        #expect(result.metadata.setting("block_count") == .u32(5))
        #expect(result.metadata.setting("nextn_predict_layers") == .u32(1) && result.layerCount == 4)
        let dropped = try DropPredictors().apply(to: model)
        #expect(dropped.metadata.setting("block_count") == .u32(6))
        #expect(dropped.metadata.setting("nextn_predict_layers") == .u32(0) && dropped.layerCount == 6)
    }
}
