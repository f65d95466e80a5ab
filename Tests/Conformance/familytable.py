"""The families that are described in formats/architectures, and for each some models that use everything it has.

A variant has a class of transformers, members of its configuration besides SIZES, and a few of these:
    patch       members of config.json that are written over, None takes one away: older spellings, what the converter wants
    old         config.json as transformers 4 wrote it
    peer        the limit for llama.cpp's logits in standard deviations, or a text: why they are not compared
    converter   a text: why llama.cpp's converter is not compared with
    metadata    keys in which ours differ from the converter's, and why
    unknown     how many tokens of a text agree in GGUF, where it lacks a key for something; a window, mostly
    refused     a key of the configuration that GGUF cannot hold, so that a conversion is refused
    cut         True: a cut of the GGUF file is refused
    config      members that GGUF cannot hold, so that they do not come back
    lost        True: what GGUF cannot hold changes the logits behind those tokens, so that a folder made from it has others
    seed        another one than 0
    fused       True: two tensors hold all experts of a layer, as transformers saves them with save_original_format=False
    first       the first token whose logits agree, where the length of the text decides the angles; all tokens: none
    greedy      True: the most likely tokens are compared with transformers', too
    text        the class of the language model in it, which a folder made from GGUF has
    disguise    a function that rewrites the folder for a class that needs code of its own, which transformers does not have
"""

import json

import safetensors.torch
import torch

FULL, SLIDING = "full_attention", "sliding_attention"
ROPE = {"rope_type": "default", "rope_theta": 50000.0}
LLAMA3 = {"rope_type": "llama3", "rope_theta": 50000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 32}
YARN = {"rope_type": "yarn", "rope_theta": 50000.0, "factor": 4.0, "original_max_position_embeddings": 32}
LINEAR = {"rope_type": "linear", "rope_theta": 50000.0, "factor": 2.0}
DYNAMIC = {"rope_type": "dynamic", "rope_theta": 50000.0, "factor": 4.0}
TOKENS, LAYERS, VOCABULARY = 40, 6, 320

# A key counts where the default configuration of the class has it.
SIZES = {
    **dict.fromkeys(("num_hidden_layers", "n_layer", "num_layers"), LAYERS), **dict.fromkeys(("hidden_size", "n_embd"), 64),
    **dict.fromkeys(("intermediate_size", "n_inner"), 96), **dict.fromkeys(("num_attention_heads", "n_head"), 4),
    **dict.fromkeys(("num_key_value_heads",), 2), "head_dim": 16, "vocab_size": VOCABULARY, "rope_parameters": ROPE,
    **dict.fromkeys(("num_experts", "num_local_experts"), 8), "num_experts_per_tok": 3,
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size"), 32),
    **dict.fromkeys(("max_position_embeddings", "n_positions"), 128),
    **dict.fromkeys(("bos_token_id", "eos_token_id"), 0), "pad_token_id": None,
}

NO_WINDOW = "llama.cpp computes no windows for it"

WINDOW = {"use_sliding_window": True, "sliding_window": 9}
MIXED = [FULL, SLIDING, SLIDING, FULL, SLIDING, FULL]
# A GGUF file of a Mistral says llama.
AS_LLAMA = ["sliding_window", "model_type", "attention_bias", "mlp_bias", "pretraining_tp"]
LOST = {"peer": NO_WINDOW, "unknown": 9, "lost": True}

def as_qwen(folder):
    """A Qwen 2 with as many key heads as heads is a Qwen 1 with other names."""
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    join = lambda layer, kind: torch.cat([tensors[f"{layer}.self_attn.{part}_proj.{kind}"] for part in "qkv"])
    names = {"input_layernorm": "ln_1", "post_attention_layernorm": "ln_2", "self_attn.o_proj": "attn.c_proj", "mlp.up_proj": "mlp.w1",
             "mlp.gate_proj": "mlp.w2", "mlp.down_proj": "mlp.c_proj"}
    result = {"transformer.wte.weight": tensors["model.embed_tokens.weight"], "transformer.ln_f.weight": tensors["model.norm.weight"],
              "lm_head.weight": tensors["lm_head.weight"]}
    for number in range(LAYERS):
        old, new = f"model.layers.{number}", f"transformer.h.{number}"
        result |= {f"{new}.attn.c_attn.{kind}": join(old, kind) for kind in ("weight", "bias")}
        result |= {f"{new}.{mine}.weight": tensors[f"{old}.{theirs}.weight"] for theirs, mine in names.items()}
    safetensors.torch.save_file(result, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({
        "architectures": ["QWenLMHeadModel"], "model_type": "qwen", "num_hidden_layers": LAYERS, "hidden_size": config["hidden_size"],
        "num_attention_heads": config["num_attention_heads"], "kv_channels": 16, "intermediate_size": 2 * config["intermediate_size"],
        "seq_length": 128, "max_position_embeddings": 128, "layer_norm_epsilon": config["rms_norm_eps"], "rotary_emb_base": 50000.0,
        "vocab_size": config["vocab_size"], "tie_word_embeddings": False, "use_dynamic_ntk": False, "use_logn_attn": False,
        "no_bias": True, "bos_token_id": 0, "eos_token_id": 0, "dtype": "float32"}, indent=2), encoding="utf-8")


FAMILIES = {
    "llama": ("LlamaForCausalLM", {
        "plain": {},
        "biases, tied, head size of its own": {"members": {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True,
                                                           "head_dim": 24}, "config": ["attention_bias"]},
        "llama3 rope": {"members": {"rope_parameters": LLAMA3}},
        "llama3 rope, old": {"members": {"rope_parameters": LLAMA3}, "old": True},
        "linear rope": {"members": {"rope_parameters": LINEAR}},
        "yarn": {"members": {"rope_parameters": YARN}},
        # A whole text has one base, and a growing one keeps the keys of earlier tokens.
        "dynamic rope": {"members": {"rope_parameters": DYNAMIC, "max_position_embeddings": 16}, "refused": "dynamic", "first": TOKENS,
                         "greedy": True},
    }),
    "mistral": ("MistralForCausalLM", {
        "window": {"members": {"sliding_window": 9}, "config": AS_LLAMA, **LOST},
        "no window": {"members": {"sliding_window": None, "head_dim": 24}, "config": AS_LLAMA},
        "no window, old": {"members": {"sliding_window": None}, "old": True, "config": AS_LLAMA},
    }),
    "qwen2": ("Qwen2ForCausalLM", {
        "plain": {},
        "tied, old": {"members": {"tie_word_embeddings": True}, "old": True},
        "window": {"members": {**WINDOW, "max_window_layers": 3}, "config": ["max_window_layers", "sliding_window", "use_sliding_window", "layer_types"], **LOST},
        "window by list": {"members": {**WINDOW, "layer_types": MIXED},
                           "config": ["sliding_window", "use_sliding_window", "layer_types"], **LOST},
        "yarn": {"members": {"rope_parameters": YARN}},
    }),
    "qwen": ("Qwen2ForCausalLM", {
        "plain": {"members": {"num_key_value_heads": 4}, "disguise": as_qwen, "converter": "it needs the code of the model's folder"},
    }),
    "qwen3": ("Qwen3ForCausalLM", {
        "plain": {},
        "biases, tied, old": {"members": {"attention_bias": True, "tie_word_embeddings": True}, "old": True, "refused": "o_proj.bias"},
        "window": {"members": {**WINDOW, "layer_types": MIXED},
                   "config": ["sliding_window", "use_sliding_window", "layer_types"], **LOST},
    }),
    "qwen2_moe": ("Qwen2MoeForCausalLM", {
        "plain": {},
        "fused": {"fused": True},
        "window": {"members": WINDOW, "config": ["sliding_window", "use_sliding_window", "layer_types"], **LOST},
        "tied, old": {"members": {"tie_word_embeddings": True}, "old": True, "peer": "it wants an output matrix"},
        "dense layers": {"members": {"mlp_only_layers": [0, 3]}, "refused": "mlp_only_layers"},
        "every second": {"members": {"decoder_sparse_step": 2}, "refused": "decoder_sparse_step"},
        "normalized": {"members": {"norm_topk_prob": True}, "refused": "norm_topk_prob"},
    }),
    "qwen3_moe": ("Qwen3MoeForCausalLM", {
        "plain": {"members": {"norm_topk_prob": True}},
        "fused": {"members": {"norm_topk_prob": True}, "fused": True},
        "fused, dense layers": {"members": {"mlp_only_layers": [1], "norm_topk_prob": True}, "fused": True, "refused": "mlp_only_layers"},
        "window, old": {"members": {**WINDOW, "norm_topk_prob": True}, "old": True, "config": ["sliding_window", "use_sliding_window"], **LOST},
        "biases": {"members": {"attention_bias": True, "norm_topk_prob": True}, "refused": "o_proj.bias"},
        "not normalized": {"members": {"norm_topk_prob": False}, "refused": "norm_topk_prob"},
        "dense layers": {"members": {"mlp_only_layers": [1], "norm_topk_prob": True}, "refused": "mlp_only_layers"},
    }),
    "mixtral": ("MixtralForCausalLM", {
        "plain": {"members": {"sliding_window": None}},
        "fused": {"members": {"sliding_window": None}, "fused": True},
        "window, old": {"members": {"sliding_window": 9}, "old": True, "config": ["sliding_window"], **LOST},
    }),
    "ministral3": ("Ministral3ForCausalLM", {
        "plain": {"members": {"sliding_window": None, "rope_parameters": {**YARN, "beta_fast": 32.0, "beta_slow": 1.0, "mscale": 1.0, "mscale_all_dim": 1.0,
                                                  "llama_4_scaling_beta": 0.1, "original_max_position_embeddings": 16}}},
    }),
    "mistral3": ("Mistral3ForConditionalGeneration", {
        "with images": {"members": {"text_config": {"sliding_window": None, "tie_word_embeddings": False}, "tie_word_embeddings": False},
                        "text": "MistralForCausalLM"},
        "with images, tied": {"members": {"text_config": {"sliding_window": None}, "tie_word_embeddings": True}, "text": "MistralForCausalLM"},
    }),
    "smollm3": ("SmolLM3ForCausalLM", {
        "plain": {"members": {"sliding_window": None}, "cut": True},
        "other layers without rope": {"members": {"no_rope_layers": [1, 0, 1, 1, 0, 1]}, "refused": "no_rope_layers"},
        "biases": {"members": {"sliding_window": None, "mlp_bias": True}, "refused": "mlp.down_proj.bias"},
        "window": {"members": {**WINDOW, "layer_types": MIXED}, "cut": True,
                   "config": ["sliding_window", "use_sliding_window", "layer_types"], **LOST},
    }),
    "granite": ("GraniteForCausalLM", {
        "multipliers": {"members": {"attention_multiplier": 0.3, "embedding_multiplier": 2.5, "residual_multiplier": 0.6,
                                    "logits_scaling": 3.0}},
        "multipliers, tied, old": {"members": {"attention_multiplier": 0.3, "embedding_multiplier": 2.5, "residual_multiplier": 0.6,
                                               "logits_scaling": 3.0, "tie_word_embeddings": True}, "old": True},
    }),
    "arcee": ("ArceeForCausalLM", {"plain": {}, "tied": {"members": {"tie_word_embeddings": True}}}),
    "olmoe": ("OlmoeForCausalLM", {
        # The converter tells this pre-tokenizer from GPT-2's by a hash; here it is told that it is GPT-2's.
        "plain": {"members": {"num_key_value_heads": 4}, "metadata": ["tokenizer.ggml.pre"]},
        "fused": {"members": {"num_key_value_heads": 4}, "metadata": ["tokenizer.ggml.pre"], "fused": True},
        "clipped, normalized": {"members": {"clip_qkv": 0.8, "norm_topk_prob": True, "num_key_value_heads": 2}, "refused": "clip_qkv"},
    }),
}

# The card of every model: what a converter reads of it.
CARD = """---
license: apache-2.0
language:
- en
- de
tags:
- tiny
- test
pipeline_tag: text-generation
base_model: Some-Org/Tiny-Model-7B
---
# Tiny Model

A model of random weights.
"""
