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
            SettingsCase(#"{"num_kv_shared_layers":3}"#, 3..<5, #"{"num_kv_shared_layers":1}"#),
            SettingsCase(
                #"{"num_kv_shared_layers":3}"#, 2..<5,
                "!'num_kv_shared_layers' is 3, and layer 5 uses the keys and values of layer 2"),
            SettingsCase(#"{"num_kv_shared_layers":-1}"#, 2..<5, #"{"num_kv_shared_layers":-1}"#),
            SettingsCase(
                #"{"num_kv_shared_layers":-9223372036854775808}"#, 2..<5,
                #"{"num_kv_shared_layers":-9223372036854775808}"#),
            // Every n-th.
            SettingsCase(#"{"sliding_window_pattern":2}"#, 1..<5, #"{"sliding_window_pattern":2}"#),
            SettingsCase(
                #"{"sliding_window_pattern":2}"#, 1..<2,
                "!'sliding_window_pattern' is 2 (every 2nd layer), so the layers 1:2 cannot be cut"),
            SettingsCase(#"{"decoder_sparse_step":1}"#, 1..<2, #"{"decoder_sparse_step":1}"#),
            SettingsCase(#"{"decoder_sparse_step":0}"#, 1..<2, #"{"decoder_sparse_step":0}"#),
            // The language model's part of a larger one.
            SettingsCase(
                #"{"text_config":{"num_hidden_layers":6,"layer_types":[0,1,2,3,4,5]},"vision":[1,2,3,4,5,6]}"#, 0..<3,
                #"{"text_config":{"num_hidden_layers":3,"layer_types":[3,4,5]},"vision":[1,2,3,4,5,6]}"#),
            // What nobody explains, or what cannot be.
            SettingsCase(#"{"mystery":[1,2,3,4,5,6]}"#, 0..<3, "!'mystery' has 6 entries, apparently one per layer"),
            SettingsCase(#"{"mystery":[1,2,3,4,5]}"#, 0..<3, #"{"mystery":[1,2,3,4,5]}"#),
            SettingsCase(#"{"layer_types":[0,1,2]}"#, 0..<3, "!'layer_types' has 3 entries for 6 layers"),
            SettingsCase(#"{"num_layers":4}"#, 3..<6, "!'num_layers' is 4, but the tensors have 6 layers"),
            SettingsCase(#"{"num_layers":-9223372036854775808}"#, 3..<6, "!but the tensors have 6 layers"),
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
            // A pattern is tried on the modules before and after the cut, however it is spelled.
            SettingsCase(
                #"{"quantization_config":{"ignore":["re:.*\\.4"]}}"#, 2..<4, "!would be about other layers"),
            SettingsCase(
                #"{"quantization_config":{"dynamic":{"-:.*\\.(?:0|4)$":{}}}}"#, 2..<4, "!would be about other layers"),
            SettingsCase(#"{"quantization_config":{"ignore":["*.4"]}}"#, 2..<4, "!would be about other layers"),
            SettingsCase(
                #"{"quantization_config":{"ignore":["re:.*\\.[01]","*.layers.*"]}}"#, 2..<4,
                #"{"quantization_config":{"ignore":["re:.*\\.[01]","*.layers.*"]}}"#),
            SettingsCase(#"{"quantization_config":{"ignore":["4.mlp"]}}"#, 2..<4, "!may be a module of any list"),
            // The rest is kept, number text and all.
            SettingsCase(
                #"{"x":1.0E-5,"num_hidden_layers":6,"y":null}"#, 0..<1, #"{"x":1.0E-5,"num_hidden_layers":5,"y":null}"#),
        ])
    func config(settings: SettingsCase) throws {
        let model = try Models.counted(layers: 6, config: settings.before)
        let edit = CutLayers(layers: settings.cut)
        if settings.after.hasPrefix("!") {
            expectRefusal(String(settings.after.dropFirst())) { try edit.apply(to: model) }
        } else {
            var config = try #require(try edit.apply(to: model).config)
            if !settings.after.contains("num_hidden_layers") { config["num_hidden_layers"] = nil }
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
            let model = try Models.counted(layers: 6, config: #"{"\#(key)":\#(value)}"#)
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

    /// By hand from llama.cpp: `w` for a layer with a window, `-` for one without.
    @Test(
        "a window that the runtime derives from the layer number is written out",
        arguments: [
            ("gemma2", "w-w-w-", 1..<2), ("gpt-oss", "w-w-w-", 2..<5), ("gemma3", "wwwww-wwwww-ww", 3..<8),
            ("gemma3n", "wwww-wwww-ww", 0..<3), ("gemma-embedding", "wwwww-ww", 4..<6), ("cohere2", "www-www-", 2..<4),
            ("exaone4", "www-www-", 2..<4), ("exaone-moe", "www-www-", 2..<4), ("olmo2", "www-www-", 6..<7),
            ("llama4", "www-www-", 1..<5), ("afmoe", "www-www-", 0..<4), ("plamo3", "wwwwwww-wwwwwww-", 2..<9),
            ("mellum", "www-www-", 2..<3), ("muse-glimmer", "www-www-", 2..<3), ("smallthinker", "-www-www", 1..<5),
            ("laguna", "-www-www", 3..<5), ("modern-bert", "-ww-ww-", 1..<3), ("cohere2moe", "-www-www", 1..<2),
        ])
    func windows(architecture: String, all: String, cut: Range<Int>) throws {
        let windows = all.map { GGUFValue.bool($0 == "w") }
        let model = try Models.gguf(architecture, layers: windows.count)
        let result = try CutLayers(layers: cut).apply(to: model)
        let expected = Array(windows[..<cut.lowerBound] + windows[cut.upperBound...])
        #expect(result.metadata.setting("attention.sliding_window_pattern") == .array(elementType: 7, expected))
        #expect(result.metadata.setting("block_count") == .u32(UInt32(windows.count - cut.count)))
        try result.checkConsistency()
    }

    @Test("every architecture in the table of windows is tested")
    func allWindows() { #expect(LayerSettings.known.windowPeriod.count == 18) }

    @Test("a period in the file counts more than the one of the table, and becomes an array")
    func statedPeriod() throws {
        for (architecture, expected) in [("plamo3", [true, true, false]), ("modern-bert", [false, false, true])] {
            let model = try Models.gguf(architecture, layers: 4, [("attention.sliding_window_pattern", .u32(2))])
            // Layers 0 to 3 are w-w- and -w-w.
            let result = try CutLayers(layers: 1..<2).apply(to: model)
            #expect(
                result.metadata.setting("attention.sliding_window_pattern")
                    == .array(elementType: 7, expected.map(GGUFValue.bool)))
        }
    }

    @Test("layers that are recurrent by their number are written out, and so they stay when cut again")
    func recurrent() throws {
        let model = try Models.gguf("qwen3next", layers: 9, [("full_attention_interval", .u32(3))])
        // r r - r r - r r -
        let once = try CutLayers(layers: 1..<3).apply(to: model)
        #expect(
            once.metadata.setting("attention.recurrent_layers")
                == .array(elementType: 7, [true, true, true, false, true, true, false].map(GGUFValue.bool)))
        let twice = try CutLayers(layers: 2..<4).apply(to: once)
        #expect(
            twice.metadata.setting("attention.recurrent_layers")?.array
                == [true, true, true, true, false].map(GGUFValue.bool))
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
                ("attention.key_length", .u32(64)), ("attention.value_length", .u32(64)),
                ("leading_dense_block_count", .u32(3)),
            ])
        let result = try CutLayers(layers: 1..<3).apply(to: model)
        #expect(
            result.metadata.setting("attention.head_count") == .array(elementType: 4, [0, 3, 4, 5].map(GGUFValue.u32)))
        #expect(result.metadata.setting("attention.head_count_kv") == .u32(2))
        #expect(result.metadata.setting("leading_dense_block_count") == .u32(1))
        #expect(result.metadata.pairs.map(\.key) == model.metadata.pairs.map(\.key))
    }

    @Test("a list whose key has no architecture before it follows too")
    func withoutArchitecture() throws {
        var model = try Models.gguf("apertus", layers: 4)
        model.metadata["xielu.beta"] = .array(elementType: 4, (0..<4).map { .u32($0) })
        model.metadata["tokenizer.ggml.scores"] = .array(elementType: 4, (0..<4).map { .u32($0) })
        let result = try CutLayers(layers: 1..<3).apply(to: model)
        #expect(result.metadata["xielu.beta"]?.array == [.u32(0), .u32(3)])
        #expect(result.metadata["tokenizer.ggml.scores"]?.array?.count == 4)
        try result.checkConsistency()
        model.metadata["other.beta"] = .array(elementType: 4, (0..<4).map { .u32($0) })
        expectRefusal("'other.beta' has 4 entries") { try CutLayers(layers: 1..<3).apply(to: model) }
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
        expectRefusal("has no rotary embeddings in every 4th layer") {
            try CutLayers(layers: 0..<2).apply(to: rope)
        }
        #expect(try CutLayers(layers: 0..<4).apply(to: rope).layerCount == 4)
        #expect(try CutLayers(layers: 6..<8).apply(to: rope).layerCount == 6)
        let sharing = try Models.gguf("gemma4", layers: 8, [("attention.shared_kv_layers", .u32(2))])
        expectRefusal("use the keys and values of the layers 4 and 5") {
            try CutLayers(layers: 5..<7).apply(to: sharing)
        }
        #expect(
            try CutLayers(layers: 3..<4).apply(to: sharing).metadata.setting("attention.shared_kv_layers") == .u32(2))
        let fixed = try Models.gguf("gemma3n", layers: 30)
        expectRefusal("the layers from 20 on use the keys") { try CutLayers(layers: 19..<21).apply(to: fixed) }
        #expect(try CutLayers(layers: 20..<22).apply(to: fixed).layerCount == 28)
        var missing = try Models.gguf("any", layers: 6)
        missing.metadata["any.block_count"] = nil
        expectRefusal("'any.block_count' differs from the number of layers") {
            try CutLayers(layers: 0..<2).apply(to: missing)
        }
    }

    /// llama.cpp's models of these architectures take another scale (Gemma), another position embedding (Baichuan),
    /// another layout of queries (DeepSeek 2) or windows (EXAONE 4) at these numbers of layers, and no key says so.
    @Test(
        "a cut from or to a number of layers that changes what llama.cpp computes is refused",
        arguments: [
            ("gemma2", 46), ("gemma3", 62), ("exaone4", 64), ("deepseek2", 26), ("deepseek2", 27), ("deepseek2", 48),
            ("baichuan", 32), ("baichuan", 40),
        ])
    func counts(architecture: String, count: Int) throws {
        let has = try Models.gguf(architecture, layers: count)
        expectRefusal("'\(architecture).block_count' is \(count), \(count - 4) after the cut") {
            try CutLayers(layers: 4..<8).apply(to: has)
        }
        let becomes = try Models.gguf(architecture, layers: count + 12)
        expectRefusal("is \(count + 12), \(count) after the cut, and llama.cpp computes a model with \(count) layers") {
            try CutLayers(layers: 0..<12).apply(to: becomes)
        }
        #expect(
            try CutLayers(layers: 12..<24).apply(to: Models.gguf(architecture, layers: count + 24)).layerCount == count
                + 12)
    }
}
