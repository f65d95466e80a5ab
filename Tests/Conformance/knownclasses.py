"""What `cut` does wrong today, by model: the blocks, and the cause. The parts fail when an entry is not true any more."""

WRONG = {
    "GlmMoeDsaForCausalLM, shared indexers": ("0:1", "indexer_types then begins with a layer that shares the indices of none"),
    "Inkling2ForCausalLM": ("7:8", "the tensors attn_res.attn_queries.N and attn_res.mlp_queries.N do not follow"),
}

WRONG_GGUF = {
    "GlmMoeDsaForCausalLM, shared indexers": WRONG["GlmMoeDsaForCausalLM, shared indexers"],
    "LagunaForCausalLM": ("0:1", "llama.cpp rotates all layers by the size of the first one, which then has a window"),
}
