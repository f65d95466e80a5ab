"""More families, as in `familytable`. Another member of a variant:
    rounded     True: norms and biases have the digits of bf16, so that adding 1 in f32 loses nothing
"""

# resect and the converter know these from the architecture, as far as its models have one tokenizer; the small ones have another.
TOKENS = ("tokenizer.ggml.pre", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.unknown_token_id", "tokenizer.ggml.padding_token_id",
          "tokenizer.ggml.add_bos_token")
FULL, SLIDING = "full_attention", "sliding_attention"
THETA = {"rope_type": "default", "rope_theta": 50000.0}
# In place of the sizes' parameters of rotary embeddings: two sets of them.
TWO = lambda full, sliding=THETA: {"rope_type": ..., "rope_theta": ..., FULL: full, SLIDING: sliding}
SHARE = lambda share: {"partial_rotary_factor": share}
LINEAR = {"rope_type": "linear", "rope_theta": 70000.0, "factor": 2.0}
YARN = {"rope_type": "yarn", "rope_theta": 50000.0, "factor": 4.0, "original_max_position_embeddings": 32}
LLAMA3 = {"rope_type": "llama3", "rope_theta": 50000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 32}
LONG = {"rope_type": "longrope", "rope_theta": 50000.0, "original_max_position_embeddings": 256,
        "long_factor": [1.0, 1.5, 2.0, 3.0, 4.0, 5.5, 7.0, 9.0], "short_factor": [1.0, 1.05, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6]}
# transformers 5 reads an older configuration's base for full layers only, and takes this one for the others.
OLMO = {"rope_type": "default", "rope_theta": 500000.0}
MIXED = [SLIDING, FULL, SLIDING, SLIDING, FULL, SLIDING]
# The base that llama.cpp takes where its converter writes none.
BASE = {"rope_theta": 10000.0}
# llama.cpp looks GELU up in a table of f16.
GELU = 2e-2
NO_WINDOW = "llama.cpp computes no windows for it"

FAMILIES = {
    "gemma": ("GemmaForCausalLM", {
        "head size of its own": {"members": {"head_dim": 24, "rope_parameters": BASE}, "rounded": True, "peer": GELU},
        "another base, old": {"members": {"num_key_value_heads": 1}, "rounded": True, "peer": GELU, "old": True,
                              "patch": {"hidden_act": "gelu"}, "metadata": ["gemma.rope.freq_base"]},
    }),
    "gemma2": ("Gemma2ForCausalLM", {
        "window": {"members": {"sliding_window": 9, "query_pre_attn_scalar": 16, "rope_parameters": BASE}, "rounded": True, "peer": GELU},
        "window, old": {"members": {"sliding_window": 9, "query_pre_attn_scalar": 16, "rope_parameters": BASE}, "rounded": True, "peer": GELU, "old": True},
        "windows of its own": {"members": {"sliding_window": 9, "query_pre_attn_scalar": 16, "layer_types": MIXED, "rope_parameters": BASE}, "rounded": True,
                               "peer": GELU, "metadata": ["gemma2.attention.sliding_window_pattern"]},
        "another scale": {"members": {"query_pre_attn_scalar": 24}, "refused": "query_pre_attn_scalar"},
        "no cap": {"members": {"query_pre_attn_scalar": 16, "attn_logit_softcapping": None}, "refused": "attn_logit_softcapping"},
    }),
    "gemma3": ("Gemma3ForCausalLM", {
        "window": {"members": {"sliding_window": 9, "query_pre_attn_scalar": 16, "rope_parameters": TWO(LINEAR)}, "rounded": True,
                   "peer": GELU, "config": ["sliding_window_pattern"]},
        "window, old": {"members": {"sliding_window": 9, "query_pre_attn_scalar": 16, "rope_parameters": TWO(LINEAR)}, "rounded": True,
                        "peer": GELU, "old": True, "config": ["sliding_window_pattern"]},
        "windows of its own, cap": {"members": {"sliding_window": 9, "query_pre_attn_scalar": 16, "layer_types": MIXED,
                                                "final_logit_softcapping": 20.0, "rope_parameters": TWO(THETA), "head_dim": 16},
                                    "rounded": True, "peer": GELU, "config": ["sliding_window_pattern"], "metadata": ["gemma3.attention.sliding_window_pattern"]},
        "another scale": {"members": {"query_pre_attn_scalar": 24, "rope_parameters": TWO(THETA)}, "refused": "query_pre_attn_scalar"},
    }),
    "gpt2": ("GPT2LMHeadModel", {
        "tied": {"members": {"n_inner": 256}, "patch": {"n_ctx": 128}, "config": ["n_ctx"], "peer": GELU},
        "not tied": {"members": {"n_inner": 256, "tie_word_embeddings": False}, "patch": {"n_ctx": 128}, "config": ["n_ctx"], "peer": GELU},
        "width of its own": {"patch": {"n_ctx": 128}, "config": ["n_ctx"], "peer": GELU, "metadata": ["gpt2.feed_forward_length"]},
    }),
    "gpt_neox": ("GPTNeoXForCausalLM", {
        "parallel": {"members": {"rope_parameters": BASE | SHARE(0.25)}, "patch": {"rotary_pct": 0.25},
                     "peer": GELU, "config": ["is_decoder"], "metadata": ["general.file_type"]},
        "one after the other": {"members": {"use_parallel_residual": False, "rope_parameters": BASE | SHARE(0.5)},
                                "patch": {"rotary_pct": 0.5}, "peer": GELU, "config": ["is_decoder"], "metadata": ["general.file_type"]},
        "another base": {"members": {"rope_parameters": SHARE(1.0)}, "patch": {"rotary_pct": 1.0},
                         "peer": GELU, "config": ["is_decoder"], "metadata": ["general.file_type", "gptneox.rope.freq_base"]},
    }),
    "phi": ("PhiForCausalLM", {
        "plain": {"members": {"intermediate_size": 256, "rope_parameters": BASE | SHARE(0.5),
                              "num_key_value_heads": 4}, "peer": GELU},
        "key heads, another base": {"members": {"rope_parameters": SHARE(0.25)}, "peer": GELU,
                                    "metadata": ["phi2.attention.head_count_kv", "phi2.feed_forward_length", "phi2.rope.freq_base"]},
        "norms of queries": {"members": {"qk_layernorm": True, "rope_parameters": SHARE(0.5)}, "refused": "k_layernorm"},
    }),
    "phi3": ("Phi3ForCausalLM", {
        "plain": {"members": {"sliding_window": None, "rope_parameters": SHARE(1.0)}, "metadata": ["phi3.attention.sliding_window"]},
        "tied, share": {"members": {"sliding_window": None, "rope_parameters": SHARE(0.75), "tie_word_embeddings": True},
                        "metadata": ["phi3.attention.sliding_window"]},
        "window": {"members": {"sliding_window": 9, "rope_parameters": SHARE(1.0)}, "peer": NO_WINDOW},
        "longrope": {"members": {"sliding_window": None, "rope_parameters": LONG | SHARE(1.0), "original_max_position_embeddings": 256,
                                 "max_position_embeddings": 1024},
                     "metadata": ["phi3.attention.sliding_window"]},
        # llama.cpp takes the long factors by the context that it is started with, resect and transformers by the text.
        "longrope, beyond the original context": {
            "members": {"sliding_window": None, "rope_parameters": LONG | SHARE(1.0) | {"original_max_position_embeddings": 16},
                        "original_max_position_embeddings": 16, "max_position_embeddings": 1024},
            "metadata": ["phi3.attention.sliding_window"], "first": 16, "greedy": True},
        "longrope, old": {"members": {"sliding_window": None, "rope_parameters": LONG | SHARE(1.0), "original_max_position_embeddings": 256,
                                 "max_position_embeddings": 1024}, "old": True, "config": ["partial_rotary_factor"],
                          "metadata": ["phi3.attention.sliding_window"]},
    }),
    "stablelm": ("StableLmForCausalLM", {
        "parallel, norms of queries": {"members": {"use_parallel_residual": True, "qk_layernorm": True, "use_qkv_bias": True,
                                                   "rope_parameters": BASE | SHARE(0.25)},
                                       "converter": "it loses the norms of queries"},
        "biases": {"members": {"use_qkv_bias": True, "rope_parameters": BASE | SHARE(0.5)}},
        "plain, another base": {"members": {"rope_parameters": SHARE(1.0)}, "metadata": ["stablelm.rope.freq_base"]},
    }),
    "starcoder2": ("Starcoder2ForCausalLM", {
        "plain": {"members": {"sliding_window": None}, "peer": GELU},
        "no biases, not tied": {"members": {"use_bias": False, "tie_word_embeddings": False, "sliding_window": None}, "old": True,
                                "refused": "attn_q.bias"},
        "window": {"members": {"sliding_window": 9}, "peer": NO_WINDOW, "unknown": 9, "config": ["sliding_window"], "lost": True},
    }),
    "olmo": ("OlmoForCausalLM", {
        "clipped": {"members": {"clip_qkv": 0.4}},
        "tied": {"members": {"tie_word_embeddings": True}, "old": True},
        "biases": {"members": {"attention_bias": True}, "refused": "o_proj.bias"},
    }),
    "olmo2": ("Olmo2ForCausalLM", {
        "plain": {},
        "yarn": {"members": {"rope_parameters": YARN}},
        "biases": {"members": {"attention_bias": True}, "refused": "o_proj.bias"},
    }),
    "olmo3": ("Olmo3ForCausalLM", {
        "window": {"members": {"sliding_window": 9, "rope_parameters": TWO(OLMO, OLMO)}},
        "windows of its own, yarn": {"members": {"sliding_window": 9, "layer_types": MIXED,
                                                 "rope_parameters": TWO(YARN | OLMO | {"rope_type": "yarn"}, OLMO)}},
    }),
    "cohere": ("CohereForCausalLM", {
        "plain": {"members": {"logit_scale": 0.25}},
        "norms of queries": {"members": {"logit_scale": 0.25, "use_qk_norm": True}, "refused": "use_qk_norm", "old": True},
        "not tied": {"members": {"tie_word_embeddings": False}, "refused": "lm_head.weight"},
    }),
    "cohere2": ("Cohere2ForCausalLM", {
        "window": {"members": {"sliding_window": 9, "logit_scale": 0.25}, "patch": {"rotary_pct": 1.0},
                   "config": ["rotary_pct", "sliding_window_pattern"]},
        "windows of its own": {"members": {"sliding_window": 9, "layer_types": MIXED}, "patch": {"rotary_pct": 1.0},
                               "config": ["rotary_pct", "sliding_window_pattern"], "metadata": ["cohere2.attention.sliding_window_pattern"]},
    }),
    "nemotron": ("NemotronForCausalLM", {
        "plain": {"members": {"rope_parameters": SHARE(0.5)}, "rounded": True,
                  "metadata": ["nemotron.attention.layer_norm_rms_epsilon"]},
        "biases, linear": {"members": {"attention_bias": True, "mlp_bias": True, "rope_parameters": LINEAR | SHARE(0.5)}, "rounded": True,
                           "metadata": ["nemotron.attention.layer_norm_rms_epsilon"]},
    }),
    "exaone4": ("Exaone4ForCausalLM", {
        "no window": {"members": {"sliding_window": None, "sliding_window_pattern": None, "layer_types": [FULL] * 6},
                      "metadata": ["exaone4.attention.sliding_window_pattern"]},
        # llama.cpp computes windows of 64 layers only.
        "window": {"members": {"sliding_window": 9, "num_hidden_layers": 64}, "cut": True},
        "window, llama3 rope": {"members": {"sliding_window": 9, "num_hidden_layers": 64, "rope_parameters": LLAMA3}, "cut": True},
        "window of few layers": {"members": {"sliding_window": 9, "layer_types": MIXED}, "refused": "sliding_window"},
    }),
    "seed_oss": ("SeedOssForCausalLM", {
        "biases": {},
        "mlp biases, tied": {"members": {"attention_bias": False, "mlp_bias": True, "tie_word_embeddings": True}, "refused": "mlp.down_proj.bias"},
        "output biases": {"members": {"attention_out_bias": True}, "refused": "o_proj.bias"},
    }),
    "ernie4_5": ("Ernie4_5ForCausalLM", {
        "plain": {"members": {"head_dim": 24}, "converter": "it wants a SentencePiece model"},
        "not tied, old": {"members": {"tie_word_embeddings": False}, "old": True, "converter": "it wants a SentencePiece model"},
        "biases": {"members": {"use_bias": True}, "refused": "mlp.down_proj.bias"},
    }),
    "jais2": ("Jais2ForCausalLM", {
        "biases": {},
        "head size of its own, tied, old": {"members": {"head_dim": 24, "tie_word_embeddings": True}, "old": True},
        "no biases": {"members": {"mlp_bias": False}, "refused": "ffn_up.bias"},
    }),
    "glm": ("GlmForCausalLM", {
        "biases": {"members": {"rope_parameters": BASE | SHARE(0.5)},
                   "metadata": ["chatglm.attention.key_length", "chatglm.attention.value_length", "chatglm.attention.layer_norm_rms_epsilon",
                                "chatglm.context_length"]},
        "no biases": {"members": {"attention_bias": False, "rope_parameters": SHARE(0.5)},
                      "metadata": ["chatglm.attention.key_length", "chatglm.attention.value_length", "chatglm.attention.layer_norm_rms_epsilon",
                                   "chatglm.context_length", "chatglm.rope.freq_base", "chatglm.rope.dimension_count"]},
    }),
    "glm4": ("Glm4ForCausalLM", {
        "biases": {"members": {"rope_parameters": SHARE(0.5)}},
        "no biases, tied": {"members": {"attention_bias": False, "tie_word_embeddings": True, "rope_parameters": SHARE(1.0)}},
    }),
}
