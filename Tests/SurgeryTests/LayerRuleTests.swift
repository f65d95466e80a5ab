import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing

/// Configurations whose kinds of layers are worked out by hand from what the classes of transformers 5.24 do with them.
@Suite("rules for the kinds of layers")
struct LayerRuleTests {
    private static func cut(_ config: String, _ cut: Range<Int>, layers: Int = 6) throws -> JSONObject {
        let model = try Models.counted(layers: layers, config: config)
        var result = try #require(try CutLayers(layers: cut).apply(to: model).config)
        #expect(result["num_hidden_layers"] == .int(layers - cut.count))
        result["num_hidden_layers"] = nil
        return result
    }

    @Test(
        "a period becomes the list that the class reads",
        arguments: [
            // Gemma 3: the last of every six attends to everything.
            SettingsCase(
                #"{"model_type":"gemma3_text","sliding_window_pattern":3}"#, 1..<3,
                #"{"model_type":"gemma3_text","sliding_window_pattern":3,"layer_types":["sliding_attention","sliding_attention","sliding_attention","full_attention"]}"#
            ),
            // Gemma 2 has no key at all: every second one does.
            SettingsCase(
                #"{"model_type":"gemma2"}"#, 2..<5,
                #"{"model_type":"gemma2","layer_types":["sliding_attention","full_attention","full_attention"]}"#),
            SettingsCase(#"{"model_type":"gemma2"}"#, 2..<4, #"{"model_type":"gemma2"}"#),
            SettingsCase(
                #"{"model_type":"qwen3_next","full_attention_interval":2}"#, 0..<3,
                #"{"model_type":"qwen3_next","full_attention_interval":2,"layer_types":["full_attention","linear_attention","full_attention"]}"#
            ),
            SettingsCase(
                #"{"model_type":"smollm3","no_rope_layer_interval":2}"#, 1..<2,
                #"{"model_type":"smollm3","no_rope_layer_interval":2,"no_rope_layers":[1,1,0,1,0]}"#),
            // An empty list is none.
            SettingsCase(
                #"{"model_type":"llama4_text","no_rope_layers":[],"no_rope_layer_interval":4,"interleave_moe_layer_step":2}"#,
                4..<5,
                #"{"model_type":"llama4_text","no_rope_layers":[],"no_rope_layer_interval":4,"interleave_moe_layer_step":2,"moe_layers":[1,3,4]}"#
            ),
            // Every second layer has experts: those that have none are named.
            SettingsCase(
                #"{"model_type":"qwen3_moe","decoder_sparse_step":2,"mlp_only_layers":[1]}"#, 2..<3,
                #"{"model_type":"qwen3_moe","decoder_sparse_step":1,"mlp_only_layers":[0,1,3]}"#),
        ])
    func lists(settings: SettingsCase) throws {
        #expect(try JSON.object(LayerRuleTests.cut(settings.before, settings.cut)).compact == settings.after)
    }

    @Test(
        "where a file has a list and a period, the list decides",
        arguments: [
            SettingsCase(
                #"{"model_type":"exaone4","sliding_window_pattern":"LLLG","layer_types":[0,1,2,3,4,5]}"#, 1..<2,
                #"{"model_type":"exaone4","sliding_window_pattern":"LLLG","layer_types":[0,2,3,4,5]}"#),
            SettingsCase(
                #"{"global_attn_every_n_layers":4,"layer_types":[0,1,2,3,4,5]}"#, 1..<2,
                #"{"global_attn_every_n_layers":4,"layer_types":[0,2,3,4,5]}"#),
        ])
    func listDecides(settings: SettingsCase) throws {
        #expect(try JSON.object(LayerRuleTests.cut(settings.before, settings.cut)).compact == settings.after)
    }

    @Test(
        "other kinds of settings",
        arguments: [
            SettingsCase(#"{"attn_layer_indices":[1,4]}"#, 0..<2, #"{"attn_layer_indices":[2]}"#),
            SettingsCase(#"{"block_types":["r","r","a"]}"#, 1..<2, #"{"block_types":["r","a","r","r","a"]}"#),
            SettingsCase(#"{"block_types":["r","r","a"]}"#, 1..<4, #"{"block_types":["r","r","a"]}"#),
            SettingsCase(
                #"{"attention_types":[[["g","l"],3]],"attention_layers":["g","l","g","l","g","l"]}"#, 1..<2,
                #"{"attention_types":[[["g","g","l","g","l"],1]],"attention_layers":["g","g","l","g","l"]}"#),
            // Kimi counts from 1.
            SettingsCase(
                #"{"linear_attn_config":{"kda_layers":[1,2,3,5],"full_attn_layers":[4,6]}}"#, 1..<2,
                #"{"linear_attn_config":{"kda_layers":[1,2,4],"full_attn_layers":[3,5]}}"#),
            SettingsCase(
                #"{"per_layer_config":{"01":{"a":1},"04":{"a":2}}}"#, 1..<3, #"{"per_layer_config":{"02":{"a":2}}}"#),
            SettingsCase(
                #"{"moe_layer_start_index":1,"moe_layer_end_index":4,"moe_layer_interval":1}"#, 0..<2,
                #"{"moe_layer_start_index":0,"moe_layer_end_index":2,"moe_layer_interval":1}"#),
            SettingsCase(#"{"moe_layer_end_index":-1}"#, 0..<2, #"{"moe_layer_end_index":-1}"#),
            SettingsCase(#"{"moe_layer_freq":[0,1,1,0,1,1]}"#, 0..<2, #"{"moe_layer_freq":[1,0,1,1]}"#),
            // A layer goes with those that use it, and they go alone.
            SettingsCase(
                #"{"indexer_types":["full","shared","full","shared","full","shared"],"index_topk_freq":4}"#, 1..<4,
                #"{"indexer_types":["full","full","shared"],"index_topk_freq":4}"#),
            // Layers with a window have no indices, whatever their entry is.
            SettingsCase(
                #"{"layer_types":["indexed_attention","sliding_attention","indexed_attention",0,1,2],"indexer_types":["full","shared","full",0,1,2]}"#,
                0..<1,
                #"{"layer_types":["sliding_attention","indexed_attention",0,1,2],"indexer_types":["shared","full",0,1,2]}"#
            ),
            SettingsCase(#"{"kv_source_layers":[0,1,1,3,3,3]}"#, 2..<3, #"{"kv_source_layers":[0,1,2,2,2]}"#),
            // The last layers may go without a loss of phase.
            SettingsCase(
                #"{"attn_layer_period":8,"attn_layer_offset":4}"#, 5..<6,
                #"{"attn_layer_period":8,"attn_layer_offset":4}"#),
            // Lists that have nothing to do with layers.
            SettingsCase(#"{"eos_token_id":[1,2,3,4,5,6]}"#, 5..<6, #"{"eos_token_id":[1,2,3,4,5,6]}"#),
        ])
    func others(settings: SettingsCase) throws {
        #expect(try JSON.object(LayerRuleTests.cut(settings.before, settings.cut)).compact == settings.after)
    }

    @Test(
        "what cannot follow is refused by name",
        arguments: [
            (#"{"attn_layer_period":8,"attn_layer_offset":4}"#, 1..<2, "'attn_layer_period' is 8 (every 8th layer)"),
            (
                #"{"sliding_window_pattern":"LLLG"}"#, 1..<2,
                "'sliding_window_pattern' is \"LLLG\", which does not match"
            ),
            (#"{"first_k_dense_replace":"3"}"#, 1..<2, "'first_k_dense_replace' is \"3\", which does not match"),
            (#"{"mlp_only_layers":[0,"1"]}"#, 1..<2, "'mlp_only_layers' has the entry \"1\""),
            (#"{"per_layer_config":{"all":{}}}"#, 1..<2, "'per_layer_config' has the member 'all'"),
            (
                #"{"kv_source_layers":[0,1,1,3,3,3]}"#, 1..<2,
                "'kv_source_layers' says that layer 2 uses the keys of layer 1"
            ),
            // Layers that use the indices of the last one before them that selects some; the list of the whole model of HY V4.
            (
                #"{"indexer_types":["full","shared","full","shared","full","shared"]}"#, 0..<1,
                "'indexer_types' says that layer 1 uses what layer 0 computes"
            ),
            (
                #"{"indexer_types":["full","full","shared","shared","shared","full"]}"#, 0..<4,
                "'indexer_types' says that layer 4 uses what layer 1 computes"
            ),
            (
                #"{"index_topk_pattern":"FSSFSS"}"#, 2..<4,
                "'index_topk_pattern' says that layer 4 uses what layer 3 computes"
            ),
            (#"{"index_topk_freq":2}"#, 0..<1, "'index_topk_freq' is 2 (every 2nd layer)"),
            (#"{"moe_layer_end_index":1}"#, 0..<2, "'moe_layer_end_index' is 1, and no layer up to that one remains"),
            (#"{"model_type":"gemma4_text"}"#, 1..<2, "'layer_types' is missing, and gemma4_text derives it"),
            (
                #"{"model_type":"qwen2_moe","use_sliding_window":true}"#, 1..<2,
                "'layer_types' is missing, and qwen2_moe derives it"
            ),
            (
                #"{"model_type":"gemma4_text","layer_types":["s","s","s","s","s","full_attention"]}"#, 5..<6,
                "'layer_types' would end with \"s\""
            ),
            (#"{"vision_config":{"deepstack_visual_indexes":[5,11,17]}}"#, 2..<3, "applies to the first 3 layers"),
            (#"{"rope":{"inside":[1,2,3,4,5,6]}}"#, 1..<2, "'rope.inside' has 6 entries"),
            (
                #"{"model_type":"minimax","layer_types":[0,1,0,1,0,1]}"#, 1..<2,
                "computes slope_rate from the layer number"
            ),
            (
                #"{"deepstack_layer_map":[[-2,1],[-1,4]]}"#, 4..<5,
                "'deepstack_layer_map' is [[-2,1],[-1,4]], which says where"
            ),
            (#"{"talker_config":{"accept_hidden_layer":3}}"#, 2..<3, "'accept_hidden_layer' is 3"),
            (#"{"model_type":"esmc"}"#, 1..<2, "'model_type' is esmc, which scales"),
            (#"{"model_type":"diffllama"}"#, 1..<2, "'model_type' is diffllama, which computes attention by"),
            (
                #"{"num_kv_shared_layers":2,"layer_types":["s","f","s","f","s","f"],"hidden_size_per_layer_input":8}"#,
                3..<4, "layer 5 uses the keys and values of layer 3"
            ),
        ])
    func refused(config: String, cut: Range<Int>, message: String) throws {
        let model = try Models.counted(layers: 6, config: config)
        expectRefusal(message) { try CutLayers(layers: cut).apply(to: model) }
    }

    // MARK: names of modules

    @Test(
        "layer numbers in the names of modules follow, whatever the prefix",
        arguments: [
            ("language_model.model.layers.4.mlp", "language_model.model.layers.2.mlp"),
            ("layers.4.mlp", "layers.2.mlp"),
            ("model.language_model.layers.4", "model.language_model.layers.2"),
            ("vision.encoder.layers.4.mlp", "vision.encoder.layers.4.mlp"), ("experts.4", "experts.4"),
            (#"re:.*layers\.4\.mlp"#, "!names layers by number"), ("lm_head", "lm_head"),
        ])
    func modules(before: String, after: String) throws {
        let names = (0..<6).map { "model.language_model.layers.\($0).mlp.weight" }
        let towers = (0..<6).map { "vision.encoder.layers.\($0).mlp.weight" }
        let model = try Models.named(
            names + towers,
            config: #"{"text_config":{"num_hidden_layers":6,"quantization_config":{"ignore":["x"]}}}"#)
        var changed = model
        changed.config?["quantization_config"] = .object(JSONObject([("ignore", .array([.string(before)]))]))
        let edit = CutLayers(layers: 1..<3)
        if after.hasPrefix("!") {
            return expectRefusal(String(after.dropFirst())) { try edit.apply(to: changed) }
        }
        #expect(try edit.apply(to: changed).config?["quantization_config"]?["ignore"] == .array([.string(after)]))
    }

    @Test("a pattern that names one layer follows where no other part has a list of that name")
    func pattern() throws {
        let config = #"{"quantization_config":{"dynamic":{"-:.*\\.layers\\.4\\.mlp":{},"+:.*\\.layers\\.2\\..*":{}}}}"#
        let model = try Models.counted(layers: 6, config: config)
        let result = try CutLayers(layers: 1..<3).apply(to: model).config
        #expect(result?["quantization_config"]?["dynamic"]?.object?.keys == [#"-:.*\.layers\.2\.mlp"#])
    }
}
