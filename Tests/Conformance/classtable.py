"""The causal classes of transformers that are cut, and what their small models differ by from the default configurations."""

FULL, SLIDING, LINEAR = "full_attention", "sliding_attention", "linear_attention"
MLA = {"num_key_value_heads": 4}
SECTIONS = {"text_config": {"head_dim": 8, "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]}}}
QWEN_VL = {"text_config": {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]}}}
HALF_SECTIONS = {"text_config": {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5,
                                                    "mrope_section": [1, 1, 0]}}}

# Members by class. Where the default configuration has layers of one kind only, it is given some of each kind.
MEMBERS = {
    "AXK1ForCausalLM": MLA, "AXK2ForCausalLM": MLA, "BailingHybridForCausalLM": MLA, "DeepseekV3ForCausalLM": MLA,
    "DeepseekV2ForCausalLM": {**MLA, "first_k_dense_replace": 1}, "DeepseekV32ForCausalLM": MLA, "Glm4MoeLiteForCausalLM": MLA,
    "GlmMoeDsaForCausalLM": MLA, "KimiLinearForCausalLM": MLA, "MiniCPM3ForCausalLM": MLA, "YoutuForCausalLM": MLA,
    "Dots3NoteForCausalLM": {**MLA, "head_dim": 16,
                             "per_layer_config": dict.fromkeys((2, 3, 4, 6, 7), {"num_attention_heads": 2, "num_key_value_heads": 2,
                                                                                 "head_dim": 16}),
                             "layer_types": ["indexed_attention"] * 2 + ([SLIDING] * 3 + ["indexed_attention"]) + [SLIDING] * 2},
    "BambaForCausalLM": {"attn_layer_indices": [2, 5]},
    "BltForCausalLM": {"encoder_hash_byte_group_vocab": 32, "encoder_hash_byte_group_size": [3, 4],
                       "encoder_config": {"hidden_size_global": 32, "num_hidden_layers": 1},
                         "decoder_config": {"hidden_size_global": 32, "num_hidden_layers": 2},
                         "patcher_config": {"num_hidden_layers": 2}},
    "CodeGenForCausalLM": {"rotary_dim": 8}, "GPTJForCausalLM": {"rotary_dim": 8},
    "CohereCompassForCausalLM": {"layer_types": [SLIDING, SLIDING, SLIDING, FULL] * 2, "rope_parameters": {
        SLIDING: {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]}, FULL: None}},
    "DbrxForCausalLM": {"attn_config": {"rope_theta": 10000.0, "kv_n_heads": 2, "clip_qkv": 8},
                        "ffn_config": {"ffn_hidden_size": 64, "moe_num_experts": 4, "moe_top_k": 2, "hidden_size": 32}},
    "DoryForCausalLM": {"num_hidden_layers": 12, "n_input_layers": 4, "n_output_layers": 4},
    "Dots1ForCausalLM": {"n_shared_experts": 1, "first_k_dense_replace": 1},
    "GPTNeoForCausalLM": {"attention_types": [[["global", "local"], 4]]},
    "GraniteMoeHybridForCausalLM": {"layer_types": [LINEAR, LINEAR, FULL, LINEAR, LINEAR, FULL, LINEAR, LINEAR]},
    "Gemma3nForCausalLM": {"num_kv_shared_layers": 2, "layer_types": [SLIDING, SLIDING, SLIDING, FULL] * 2, "intermediate_size": 64},
    "Gemma4ForCausalLM": {"num_kv_shared_layers": 2, "layer_types": [SLIDING, FULL] * 4},
    "Inkling2ForCausalLM": {"unpadded_vocab_size": 96},
    "Inkling2LoopForCausalLM": {"unpadded_vocab_size": 96, "loop_layer_index_start": 2, "loop_layer_index_end": 6,
                                "n_layers_per_attn_res_block": 2},
    "LongcatFlashForCausalLM": {**MLA, "zero_expert_num": 2},
    "Lfm2ForCausalLM": {"full_attn_idxs": [2, 5], "block_multiple_of": 8},
    "Lfm2MoeForCausalLM": {"layer_types": ["conv", "conv", FULL, "conv", "conv", FULL, "conv", "conv"]},
    "Mamba2ForCausalLM": {"num_heads": 8, "head_dim": 8},
    "MiniMaxM3VLForCausalLM": {"mlp_layer_types": ["dense"] + ["sparse"] * 7},
    "MllamaForCausalLM": {"cross_attention_layers": [3]},
    "MusicgenForCausalLM": {"num_codebooks": 1}, "MusicgenMelodyForCausalLM": {"num_codebooks": 1},
    "NemotronHForCausalLM": {"layers_block_type": [LINEAR, "mlp", LINEAR, "moe", FULL, "mlp", LINEAR, "moe"]},
    "Qwen4ExpForCausalLM": {"indexer_n_heads": 4, "indexer_kv_heads": 1, "indexer_head_dim": 8, "indexer_budget": 8,
                            "indexer_compress_ratio": 2, "ple_embed_dim": 16},
    "ReformerModelWithLMHead": {"axial_pos_embds_dim": [16, 16], "axial_pos_shape": [8, 16], "attention_head_size": 8, "num_buckets": 4,
                                "attn_layers": ["local", "lsh"] * 4, "feed_forward_size": 64, "lsh_attn_chunk_length": 8,
                                "local_attn_chunk_length": 8, "hash_seed": 1},
    "RoCBertForCausalLM": {"shape_vocab_size": 16, "pronunciation_vocab_size": 16, "shape_embed_dim": 16, "pronunciation_embed_dim": 16},
    "XmodForCausalLM": {"default_language": "en_XX"},
    # Of the layers that share weights two have to be left, or transformers does not load it.
    "ZambaForCausalLM": {"layers_block_type": [LINEAR, LINEAR, "hybrid", LINEAR, LINEAR, "hybrid", LINEAR, "hybrid"],
                         "attention_hidden_size": 64, "attention_head_dim": 16, "num_key_value_heads": 4},
    "Zamba2ForCausalLM": {"layers_block_type": [LINEAR, LINEAR, "hybrid", LINEAR, LINEAR, "hybrid", LINEAR, "hybrid"], "n_mamba_heads": 4,
                           "attention_hidden_size": 64, "mamba_headdim": ...},
    "ZayaForCausalLM": {"num_experts_per_tok": 1},
    "Qwen2VLForConditionalGeneration": QWEN_VL, "Qwen2_5_VLForConditionalGeneration": QWEN_VL, "Glm4vForConditionalGeneration": SECTIONS,
    "Glm46VForConditionalGeneration": SECTIONS, "GlmOcrForConditionalGeneration": SECTIONS, "PaddleOCRVLForConditionalGeneration": SECTIONS,
    "Qwen2_5OmniThinkerForConditionalGeneration": QWEN_VL, "Glm4vMoeForConditionalGeneration": HALF_SECTIONS,
    "HunYuanVLForConditionalGeneration": SECTIONS,
    "Kimi_K25ForConditionalGeneration": {"text_config": MLA}, "MistralLarge4ForConditionalGeneration": {"text_config": MLA},
    "Glm5NextForConditionalGeneration": {"text_config": {**MLA, "index_kpool": 2, "qk_rope_head_dim": 0}},
    "Mistral4ForCausalLM": {**MLA, "head_dim": ...},
    "Qwen4ExpForConditionalGeneration": {"text_config": {"indexer_n_heads": 4, "indexer_kv_heads": 1, "indexer_head_dim": 8,
                                                         "indexer_budget": 8, "indexer_compress_ratio": 2, "ple_embed_dim": 16}},
}

# More models of a class, whose layers differ in another way.
VARIANTS = {
    "BartForCausalLM": {"other count of the encoder": {"encoder_layers": 5}},
    "BloomForCausalLM": {"untied": {"tie_word_embeddings": False}},
    "DeepseekV3ForCausalLM": {"with a module that is not loaded": {"num_nextn_predict_layers": 1}},
    "Ernie4_5_MoeForCausalLM": {"dense first and last": {"moe_layer_start_index": 2, "moe_layer_end_index": 6},
                                "every 2nd": {"moe_layer_interval": 2}},
    "Gemma3nForCausalLM": {"nothing shared": {"num_kv_shared_layers": 0}},
    "Gemma4ForCausalLM": {"nothing shared": {"num_kv_shared_layers": 0}},
    "GlmMoeDsaForCausalLM": {"shared indexers": {"indexer_types": ["full", "shared"] * 4}},
    "GPT2LMHeadModel": {"scaled by layer": {"scale_attn_by_inverse_layer_idx": True}},
    "Llama4ForCausalLM": {"experts in every 2nd": {"interleave_moe_layer_step": 2}},
    "MistralForCausalLM": {"without window": {"sliding_window": None}},
    "Phi4MultimodalForCausalLM": {"as many layers for sound": {"audio_config": {"num_blocks": 8}}},
    "Qwen2ForCausalLM": {"windows": {"use_sliding_window": True, "sliding_window": 6, "max_window_layers": 4}},
    "Qwen2MoeForCausalLM": {"dense layers": {"mlp_only_layers": [0, 3]}, "every 2nd": {"decoder_sparse_step": 2}},
    "Qwen3ForCausalLM": {"windows": {"use_sliding_window": True, "sliding_window": 6, "max_window_layers": 4}},
    "Qwen3MoeForCausalLM": {"dense layers": {"mlp_only_layers": [0, 3]}, "every 2nd": {"decoder_sparse_step": 2}},
    "Qwen3NextForCausalLM": {"every 2nd": {"decoder_sparse_step": 2}, "dense layers": {"mlp_only_layers": [0, 3]}},
}

# Multimodal classes that run on text alone and can be built small.
MULTIMODAL = """AriaForConditionalGeneration AyaVisionForConditionalGeneration Cosmos3OmniForConditionalGeneration
    DeepseekVLForConditionalGeneration GraniteDoclingForConditionalGeneration HyperCLOVAXVisionV2ForConditionalGeneration
    Idefics2ForConditionalGeneration Idefics3ForConditionalGeneration InternVLForConditionalGeneration Lfm2VlForConditionalGeneration
    Lfm3VlForConditionalGeneration LightOnOcrForConditionalGeneration LlavaForConditionalGeneration LlavaNextForConditionalGeneration
    LlavaNextVideoForConditionalGeneration LlavaOnevisionForConditionalGeneration MiniCPMOcrForConditionalGeneration
    MiniCPMV4_6ForConditionalGeneration MiniMaxM3SparseForConditionalGeneration Mistral3ForConditionalGeneration
    MllamaForConditionalGeneration Ovis2ForConditionalGeneration PaliGemmaForConditionalGeneration QianfanOCRForConditionalGeneration
    Qwen3_5ForConditionalGeneration Qwen3_5MoeForConditionalGeneration Qwen3VLForConditionalGeneration
    Qwen3VLMoeForConditionalGeneration SmolVLMForConditionalGeneration Step3p7ForConditionalGeneration
    VideoLlama3ForConditionalGeneration VideoLlavaForConditionalGeneration VipLlavaForConditionalGeneration
    Qwen2VLForConditionalGeneration Qwen2_5_VLForConditionalGeneration Glm4vForConditionalGeneration Glm4vMoeForConditionalGeneration
    Glm46VForConditionalGeneration GlmOcrForConditionalGeneration PaddleOCRVLForConditionalGeneration
    Qwen2_5OmniThinkerForConditionalGeneration HunYuanVLForConditionalGeneration Kimi_K25ForConditionalGeneration
    MistralLarge4ForConditionalGeneration Glm5NextForConditionalGeneration Mistral4ForCausalLM
    Qwen4ExpForConditionalGeneration""".split()

# Why the other classes of the mapping are not cut.
NOT_BUILT = {
    "Gemma3nForConditionalGeneration": "its vision tower needs timm and PIL; its decoder is that of Gemma3nForCausalLM",
    "Gemma4AssistantForCausalLM": "runs on the states of another model only",
    "Gemma4UnifiedAssistantForCausalLM": "runs on the states of another model only",
}

# Blocks that cannot be skipped in the original, so that they have to be refused.
UNDEFINED = {
    "Gemma3nForCausalLM": dict.fromkeys(("2:4", "3:6"), "later layers read the keys of one of these layers"),
    "Gemma4ForCausalLM": {"3:6": "later layers read the keys of one of these layers"},
    "GlmMoeDsaForCausalLM, shared indexers": {"0:1": "the next layer uses the indices of this one"},
}
