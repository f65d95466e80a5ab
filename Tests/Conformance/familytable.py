"""The families that are described in formats/architectures, and for each some models that use everything it has.

A variant has a class of transformers, members of its configuration besides SIZES, and a few of these:
    patch       members of config.json that are written over, None takes one away: older spellings, what the converter wants
    old         config.json as transformers 4 wrote it
    peer        the limit for llama.cpp's logits in standard deviations, or a text: why they are not compared
    converter   a text: why llama.cpp's converter is not compared with
    metadata    keys in which ours differ from the converter's, and why
    unknown     how many tokens of a text agree in GGUF, where it lacks a key for something; a window, mostly
    cut         True: a cut of the GGUF file is refused
    config      members that GGUF cannot hold, so that they do not come back
    lost        True: what GGUF cannot hold changes the logits
    seed        another one than 0
"""

FULL, SLIDING = "full_attention", "sliding_attention"
ROPE = {"rope_type": "default", "rope_theta": 50000.0}
LLAMA3 = {"rope_type": "llama3", "rope_theta": 50000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 32}
YARN = {"rope_type": "yarn", "rope_theta": 50000.0, "factor": 4.0, "original_max_position_embeddings": 32}
LINEAR = {"rope_type": "linear", "rope_theta": 50000.0, "factor": 2.0}
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

# peers.md of the team says it too: windows of these are unknown to llama.cpp.
NO_WINDOW = "llama.cpp computes no windows for it"

FAMILIES = {
    "llama": ("LlamaForCausalLM", {
        "plain": {},
        "biases, tied, head size of its own": {"members": {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True,
                                                           "head_dim": 24}, "config": ["attention_bias"]},
        "llama3 rope": {"members": {"rope_parameters": LLAMA3}},
        "llama3 rope, old": {"members": {"rope_parameters": LLAMA3}, "old": True},
        "linear rope": {"members": {"rope_parameters": LINEAR}},
        "yarn": {"members": {"rope_parameters": YARN}},
    }),
    "mistral": ("MistralForCausalLM", {
        "window": {"members": {"sliding_window": 9}, "peer": NO_WINDOW, "unknown": 9, "config": ["sliding_window"], "lost": True},
        "no window": {"members": {"sliding_window": None}},
        "no window, old": {"members": {"sliding_window": None}, "old": True},
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
