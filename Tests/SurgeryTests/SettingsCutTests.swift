import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing

/// A configuration of six layers, a cut, and what it becomes: a configuration, or a message.
struct SettingsCase: CustomTestStringConvertible, Sendable {
    let before: String
    let cut: Range<Int>
    let after: String

    init(_ before: String, _ cut: Range<Int>, _ after: String) {
        (self.before, self.cut, self.after) = (before, cut, after)
    }

    var testDescription: String { "\(before) without \(cut.lowerBound):\(cut.upperBound)" }
}

@Suite("settings that follow a cut")
struct SettingsCutTests {
    @Test(
        "each rule",
        arguments: [
            // A value for each layer.
            SettingsCase(
                #"{"n_layer":6,"layer_types":[0,1,2,3,4,5]}"#, 2..<4, #"{"n_layer":4,"layer_types":[0,1,4,5]}"#),
            SettingsCase(#"{"hybrid_override_pattern":"M-M*E-"}"#, 1..<3, #"{"hybrid_override_pattern":"M*E-"}"#),
            SettingsCase(#"{"intermediate_size":7}"#, 1..<3, #"{"intermediate_size":7}"#),
            SettingsCase(#"{"layer_types":null}"#, 1..<3, #"{"layer_types":null}"#),
            // Layer numbers.
            SettingsCase(#"{"moe_layers":[0,2,3,5]}"#, 2..<4, #"{"moe_layers":[0,3]}"#),
            SettingsCase(#"{"cross_attention_layers":[]}"#, 2..<4, #"{"cross_attention_layers":[]}"#),
            SettingsCase(
                #"{"full_attn_idxs":[-1,99,9223372036854775807]}"#, 5..<6,
                #"{"full_attn_idxs":[-1,98,9223372036854775806]}"#),
            // The first n.
            SettingsCase(#"{"max_window_layers":4}"#, 0..<2, #"{"max_window_layers":2}"#),
            SettingsCase(#"{"max_window_layers":4}"#, 3..<6, #"{"max_window_layers":3}"#),
            SettingsCase(#"{"max_window_layers":28}"#, 3..<5, #"{"max_window_layers":26}"#),
            SettingsCase(#"{"first_k_dense_replace":1}"#, 3..<5, #"{"first_k_dense_replace":1}"#),
            SettingsCase(
                #"{"first_k_dense_replace":-9223372036854775808}"#, 3..<5,
                #"{"first_k_dense_replace":-9223372036854775808}"#),
            // The last n.
            SettingsCase(#"{"num_kv_shared_layers":3}"#, 0..<2, #"{"num_kv_shared_layers":3}"#),
            SettingsCase(#"{"num_kv_shared_layers":3}"#, 2..<5, #"{"num_kv_shared_layers":1}"#),
            SettingsCase(#"{"num_kv_shared_layers":-1}"#, 2..<5, #"{"num_kv_shared_layers":-1}"#),
            SettingsCase(
                #"{"num_kv_shared_layers":-9223372036854775808}"#, 2..<5,
                #"{"num_kv_shared_layers":-9223372036854775808}"#),
            // Every n-th.
            SettingsCase(#"{"sliding_window_pattern":2}"#, 1..<5, #"{"sliding_window_pattern":2}"#),
            SettingsCase(
                #"{"sliding_window_pattern":2}"#, 1..<2,
                "!'sliding_window_pattern' is 2, every 2-th layer, so the layers 1:2 cannot be cut"),
            SettingsCase(#"{"decoder_sparse_step":1}"#, 1..<2, #"{"decoder_sparse_step":1}"#),
            SettingsCase(#"{"decoder_sparse_step":0}"#, 1..<2, #"{"decoder_sparse_step":0}"#),
            // The language model's part of a larger one.
            SettingsCase(
                #"{"text_config":{"num_hidden_layers":6,"layer_types":[0,1,2,3,4,5]},"vision":[1,2,3,4,5,6]}"#, 0..<3,
                #"{"text_config":{"num_hidden_layers":3,"layer_types":[3,4,5]},"vision":[1,2,3,4,5,6]}"#),
            // What nobody explains, or what cannot be.
            SettingsCase(#"{"mystery":[1,2,3,4,5,6]}"#, 0..<3, "!'mystery' has 6 entries, one per layer as it seems"),
            SettingsCase(#"{"mystery":[1,2,3,4,5]}"#, 0..<3, #"{"mystery":[1,2,3,4,5]}"#),
            SettingsCase(#"{"layer_types":[0,1,2]}"#, 0..<3, "!'layer_types' has 3 entries for 6 layers"),
            SettingsCase(#"{"num_layers":4}"#, 3..<6, "!'num_layers' is 4, less than the layers that the tensors have"),
            SettingsCase(#"{"num_layers":-9223372036854775808}"#, 3..<6, "!less than the layers"),
            SettingsCase(
                #"{"scale_attn_by_inverse_layer_idx":true}"#, 0..<1, "!makes attention depend on the layer's number"),
            // Layer numbers in the names of modules.
            SettingsCase(
                #"{"quantization_config":{"ignore":["lm_head","m.layers.1.mlp","m.layers.4","m.layers.2.x"],"m.layers.5.w":{"bits":4}}}"#,
                2..<4,
                #"{"quantization_config":{"ignore":["lm_head","m.layers.1.mlp","m.layers.2"],"m.layers.3.w":{"bits":4}}}"#
            ),
            SettingsCase(
                #"{"quantization":{"bits":4,"m.layers.1.w":{"bits":8},"m.layers.2.w":false,"m.layers.5.w":false}}"#,
                2..<4,
                #"{"quantization":{"bits":4,"m.layers.1.w":{"bits":8},"m.layers.3.w":false}}"#),
            SettingsCase(
                #"{"quantization_config":{"ignore":["re:.*lm_head.*","re:m.layers.[0-9]+.gate"]}}"#, 2..<4,
                #"{"quantization_config":{"ignore":["re:.*lm_head.*","re:m.layers.[0-9]+.gate"]}}"#),
            SettingsCase(
                #"{"quantization_config":{"ignore":["re:.*layers\\.(0|1)\\..*"]}}"#, 2..<4, "!names layers by number"),
            // The rest is kept, number text and all.
            SettingsCase(
                #"{"x":1.0E-5,"num_hidden_layers":6,"y":null}"#, 0..<1, #"{"x":1.0E-5,"num_hidden_layers":5,"y":null}"#),
        ])
    func config(settings: SettingsCase) throws {
        let model = try Models.folder(layers: 6, config: settings.before)
        let edit = CutLayers(layers: settings.cut)
        if settings.after.hasPrefix("!") {
            expectRefusal(String(settings.after.dropFirst())) { try edit.apply(to: model) }
        } else {
            let config = try #require(try edit.apply(to: model).config)
            #expect(JSON.object(config).compact == settings.after)
        }
    }

    @Test(
        "every key of the table is followed or refused, whatever its value",
        arguments: LayerSettings.known.config.map(\.key))
    func everyKey(key: String) throws {
        for value in [
            "null", "true", "0", "-1", "7", "1e30", "9223372036854775807", "-9223372036854775808", "\"text\"", "[]",
            "[1]", "{}", "[null,1.5,\"x\",-3,[],{}]",
        ] {
            let model = try Models.folder(layers: 6, config: #"{"\#(key)":\#(value)}"#)
            for cut in [0..<1, 2..<5, 5..<6] {
                do {
                    let result = try CutLayers(layers: cut).apply(to: model)
                    #expect(result.config?[key] != nil)
                } catch {
                    #expect(error.description.contains("'\(key)'"))
                }
            }
        }
    }

    // MARK: GGUF

    @Test(
        "a window that the runtime derives from the layer number is written out",
        arguments: LayerSettings.known.windowPeriod.keys.sorted())
    func windows(architecture: String) throws {
        let period = try #require(LayerSettings.known.windowPeriod[architecture])
        let layers = 3 * period
        // A whole period is cut, for those whose rotary embeddings follow the number too.
        let model = try Models.gguf(architecture, layers: layers)
        let result = try CutLayers(layers: 1..<1 + period).apply(to: model)
        let expected = (0..<layers).filter { !(1..<1 + period ~= $0) }.map { GGUFValue.bool(($0 + 1) % period != 0) }
        #expect(result.metadata.setting("attention.sliding_window_pattern") == .array(elementType: 7, expected))
        #expect(result.metadata.setting("block_count") == .u32(UInt32(layers - period)))
        try result.checkConsistency()
    }

    @Test("a window that the file states is cut as it stands")
    func statedWindows() throws {
        let stated = [true, true, false, true, true, false].map(GGUFValue.bool)
        let model = try Models.gguf(
            "gemma3", layers: 6, [("attention.sliding_window_pattern", .array(elementType: 7, stated))])
        let result = try CutLayers(layers: 1..<3).apply(to: model)
        #expect(
            result.metadata.setting("attention.sliding_window_pattern")?.array
                == [true, true, true, false].map(GGUFValue.bool))
    }

    @Test("arrays with a value for each layer are cut, and numbers stay")
    func arrays() throws {
        let heads = GGUFValue.array(elementType: 4, (0..<6).map { .u32($0) })
        let model = try Models.gguf(
            "any", layers: 6,
            [
                ("attention.head_count", heads), ("attention.head_count_kv", .u32(2)),
                ("leading_dense_block_count", .u32(3)),
            ])
        let result = try CutLayers(layers: 0..<2).apply(to: model)
        #expect(result.metadata.setting("attention.head_count") == .array(elementType: 4, (2..<6).map { .u32($0) }))
        #expect(result.metadata.setting("attention.head_count_kv") == .u32(2))
        #expect(result.metadata.setting("leading_dense_block_count") == .u32(1))
        #expect(result.metadata.pairs.map(\.key) == model.metadata.pairs.map(\.key))
    }

    @Test("GGUF settings that cannot follow stop the cut")
    func refused() throws {
        let six = GGUFValue.array(elementType: 4, (0..<6).map { .u32($0) })
        let unknown = try Models.gguf("any", layers: 6, [("mystery", six)])
        expectRefusal("'any.mystery' has 6 entries") { try CutLayers(layers: 0..<2).apply(to: unknown) }
        let short = try Models.gguf("any", layers: 7, [("feed_forward_length", six)])
        expectRefusal("'any.feed_forward_length' has 6 entries for 7 layers") {
            try CutLayers(layers: 0..<2).apply(to: short)
        }
        let rope = try Models.gguf("smollm3", layers: 8)
        expectRefusal("leaves out rotary embeddings in every 4-th layer") {
            try CutLayers(layers: 0..<2).apply(to: rope)
        }
        #expect(try CutLayers(layers: 0..<4).apply(to: rope).layerCount == 4)
        let count = try Models.gguf("gemma2", layers: 46)
        expectRefusal("'gemma2.block_count' is 46") { try CutLayers(layers: 0..<2).apply(to: count) }
        var missing = try Models.gguf("any", layers: 6)
        missing.metadata["any.block_count"] = nil
        expectRefusal("'any.block_count' is not the number of layers") {
            try CutLayers(layers: 0..<2).apply(to: missing)
        }
    }
}
