"""What the small models that are converted to GGUF have otherwise than those of `classtable`.

PATCHES are keys of config.json that the converter reads and transformers 5 does not write."""

import json

from tokenizers import Tokenizer
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

FULL, SLIDING, LINEAR = "full_attention", "sliding_attention", "linear_attention"
HEADS = {"num_key_value_heads": 4}
ROPE = {"rope_type": "default", "rope_theta": 10000.0}
SECTIONS = {**ROPE, "partial_rotary_factor": 1.0, "mrope_section": [2, 1, 1]}

# Layers, heads and windows that llama.cpp does not compute as transformers does are left out of these models.
MEMBERS = {
    "AfmoeForCausalLM": {"mup_enabled": True},
    # As many as there are tokens, because rounding decides near ties.
    "DeepseekV32ForCausalLM": {"index_head_dim": 64, "index_topk": 64}, "GlmMoeDsaForCausalLM": {"index_head_dim": 64, "index_topk": 64},
    "Dots1ForCausalLM": HEADS, "OlmoeForCausalLM": HEADS, "PhiForCausalLM": {**HEADS, "intermediate_size": 128},
    "Ernie4_5_MoeForCausalLM": {"moe_num_shared_experts": 1},
    "Exaone4ForCausalLM": {"sliding_window": None, "layer_types": [FULL] * 8},
    "FalconForCausalLM": {"num_kv_heads": 1, "ffn_hidden_size": 128},
    "Gemma2ForCausalLM": {"query_pre_attn_scalar": 8}, "Gemma3ForCausalLM": {"query_pre_attn_scalar": 8},
    "Gemma3ForConditionalGeneration": {"text_config": {"query_pre_attn_scalar": 8}},
    "GptOssForCausalLM": {"rope_parameters": ROPE},
    "JambaForCausalLM": {"attn_layer_period": 4, "attn_layer_offset": 2},
    "LagunaForCausalLM": {"layer_types": [FULL, SLIDING, SLIDING, SLIDING] * 2},
    "Llama4ForCausalLM": {"attention_chunk_size": 8192},
    "MellumForCausalLM": {"layer_types": [FULL, SLIDING, SLIDING, SLIDING] * 2, "norm_topk_prob": True,
                          "rope_parameters": {FULL: ROPE, SLIDING: ROPE}},
    "Mistral3ForConditionalGeneration": {"text_config": {"sliding_window": None}},
    **dict.fromkeys(("Ministral3ForCausalLM", "MistralForCausalLM", "MixtralForCausalLM", "Phi3ForCausalLM", "Starcoder2ForCausalLM"),
                    {"sliding_window": None}),
    "NemotronHForCausalLM": {"layers_block_type": [LINEAR, "moe", LINEAR, "moe", FULL, "moe", LINEAR, FULL]},
    "Qwen3MoeForCausalLM": {"norm_topk_prob": True},
    **dict.fromkeys(("Qwen3_5ForCausalLM", "Qwen3_5MoeForCausalLM"), {"rope_parameters": SECTIONS}),
    **dict.fromkeys(("Qwen3_5ForConditionalGeneration", "Qwen3_5MoeForConditionalGeneration", "Qwen3VLForConditionalGeneration",
                     "MiniCPMV4_6ForConditionalGeneration"), {"text_config": {"rope_parameters": SECTIONS}}),
    "SolarOpenForCausalLM": {"rope_parameters": {**ROPE, "partial_rotary_factor": 1.0}},
    "YoutuForCausalLM": {"tie_word_embeddings": False},
}

PATCHES = {
    "AfmoeForCausalLM": {"route_norm": True, "score_func": "sigmoid"},
    "Cohere2ForCausalLM": {"rotary_pct": 1.0}, "GPTNeoXForCausalLM": {"rotary_pct": 0.25},
    **dict.fromkeys(("DeepseekV3ForCausalLM", "DeepseekV32ForCausalLM", "Dots1ForCausalLM", "ExaoneMoeForCausalLM",
                     "SolarOpenForCausalLM"), {"scoring_func": "sigmoid"}),
    "FalconH1ForCausalLM": {"head_dim": 8},
    "Glm4MoeLiteForCausalLM": {"scoring_func": "sigmoid", "first_k_dense_replace": 1},
    "GPT2LMHeadModel": {"n_ctx": 128},
    "GraniteMoeHybridForCausalLM": {"layer_types": ["mamba", "mamba", "attention", "mamba", "mamba", "attention", "mamba", "mamba"]},
    "HunYuanMoEV1ForCausalLM": {"moe_intermediate_size": [64] * 8, "moe_topk": [2] * 8, "num_shared_expert": [1] * 8},
    "MiniMaxM2ForCausalLM": {"rotary_dim": 8, "scoring_func": "sigmoid"},
    "NemotronHForCausalLM": {"hybrid_override_pattern": "MEME*EM*"},
}


def complete(folder, name):
    """Adds the keys to the folder of a model, and a tokenizer, which some conversions look into."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | PATCHES.get(name, {})))
    vocabulary = {"a": 0, "b": 1, "ab": 2} | {f"<{i}>": i for i in range(3, 96)}
    PreTrainedTokenizerFast(tokenizer_object=Tokenizer(BPE(vocabulary, [("a", "b")]))).save_pretrained(folder)
