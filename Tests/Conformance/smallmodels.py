"""Small models of the classes of transformers, with random weights: the default configuration of each class with small sizes.

The defaults also say which layers have windows, experts or a recurrent state, so these are as in the real model."""

import torch

LAYERS = 8

# The key of a configuration and its value in the small model. A key counts where the default configuration has it.
SIZES = {
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers", "decoder_layers", "num_decoder_layers", "num_blocks",
                     "encoder_layers", "num_encoder_layers"), LAYERS),
    **dict.fromkeys(("hidden_size", "n_embd", "d_model", "emb_dim", "embedding_size", "input_embedding_size", "word_embed_proj_dim",
                     "embedding_dim", "attention_hidden_size", "lru_width", "output_embedding_size"), 32),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "decoder_ffn_dim", "encoder_ffn_dim", "ffn_hidden_size", "d_inner", "dff", "dim_ff",
                     "dense_intermediate_size", "intermediate_size_mlp", "n_inner", "mamba_d_ssm"), 64),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size", "moe_shared_expert_intermediate_size",
                     "shared_intermediate_size", "shared_experts_intermediate_size", "expert_ffn_hidden_size"), 32),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "decoder_attention_heads", "encoder_attention_heads", "attention_heads",
                     "num_heads", "num_decoder_attention_heads", "num_encoder_attention_heads", "swa_num_attention_heads"), 4),
    **dict.fromkeys(("num_key_value_heads", "num_kv_heads", "swa_num_key_value_heads"), 2),
    **dict.fromkeys(("head_dim", "d_head", "dim_head", "v_head_dim", "qk_nope_head_dim", "qk_rope_head_dim", "swa_head_dim", "kv_channels",
                     "linear_key_head_dim", "linear_value_head_dim", "linear_head_dim", "global_head_dim", "index_head_dim"), 8),
    **dict.fromkeys(("kv_lora_rank", "q_lora_rank", "o_lora_rank"), 16),
    **dict.fromkeys(("n_routed_experts", "num_experts", "num_local_experts", "moe_num_experts"), 4),
    **dict.fromkeys(("num_experts_per_tok", "num_experts_per_token", "moe_k", "moe_topk", "top_k_experts"), 2),
    **dict.fromkeys(("n_group", "topk_group", "num_expert_group"), 1),
    "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_num_heads": 4,
    "mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_chunk_size": 16, "mamba_dt_rank": 4, "mamba_num_heads": 8,
    "mamba_head_dim": 8, "mamba_headdim": 16, "state_size": 8, "ssm_state_size": 8, "time_step_rank": 4, "chunk_size": 16, "n_groups": 2,
    "index_n_heads": 4, "index_topk": 6, "laurel_rank": 4, "hidden_size_per_layer_input": 6,
    "router_hidden_size": 16, "altup_num_inputs": 2,
    **dict.fromkeys(("vocab_size", "vocab_size_per_layer_input", "decoder_vocab_size"), 96),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "max_target_positions", "context_length",
                     "max_source_positions"), 128),
    # Shorter than the text, so that a layer with a window and one without differ.
    **dict.fromkeys(("sliding_window", "sliding_window_size", "attention_window_size", "local_attention", "window_size",
                     "attention_chunk_size"), 6),
    **dict.fromkeys(("bos_token_id", "eos_token_id", "decoder_start_token_id", "forced_eos_token_id", "sep_token_id", "cls_token_id",
                     "begin_suppress_tokens", "eod_token_id", "mask_token_id"), 1),
    "pad_token_id": 0, "num_nextn_predict_layers": 0, "is_decoder": True, "use_mamba_kernels": False, "use_cache": False,
    "attention_dropout": 0.0,
}
# Towers for images and sound have other layers than the decoder, and fewer.
TOWERS = ("vision", "audio", "image", "qformer", "perceiver", "backbone", "vq_")
TOWER_SIZES = {
    "num_hidden_layers": 2, "num_layers": 2, "num_blocks": 2, "depth": 2, "encoder_layers": 2, "num_global_layers": 1, "layers": 2,
    "embed_dim": 32, "out_hidden_size": 32, "projection_dim": 32, "output_dim": 32, "text_hidden_size": 32, "vision_output_dim": 32,
    "projector_input_dim": 32, "projector_output_dim": 32, "image_size": 28, "patch_size": 14, "num_heads": 4, "position_embedding_size": 16,
}


def small(defaults, extra, tower=False):
    """The members that make a default configuration small; those of a configuration inside it, too."""
    sizes = SIZES | TOWER_SIZES if tower else SIZES
    members = {key: value for key, value in sizes.items() if key in defaults and not isinstance(defaults[key], (list, dict))}
    # None means that the model does without it.
    for key in ("n_inner", "num_nextn_predict_layers") + (("num_key_value_heads", "head_dim") if tower else ()):
        if defaults.get(key) is None:
            members.pop(key, None)
    for key, value in defaults.items():
        if isinstance(value, dict) and "model_type" in value:
            members[key] = small(value, {}, tower or key.startswith(TOWERS))
    return merged(members, extra)


def merged(members, extra):
    """Members, replaced by those of a table; `...` in it removes one."""
    result = dict(members)
    for key, value in extra.items():
        result[key] = merged(result[key], value) if isinstance(result.get(key), dict) and isinstance(value, dict) else value
    return {key: value for key, value in result.items() if value is not ...}


def build(kind, extra, seed=0):
    """A model of a class with random weights in f32. Every tensor counts: norms and biases are random, too."""
    defaults = kind.config_class().to_dict()
    torch.manual_seed(seed)
    model = kind(kind.config_class(**small(defaults, extra))).eval().float()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "embed" in name:
                spread = 0.5
            else:
                spread = 0.1 if weight.dim() < 2 or "norm" in name else 0.7 / weight.shape[-1] ** 0.5
            weight.add_(spread * torch.randn_like(weight))
    model.tie_weights()
    return model


def depth(model):
    """How many layers the decoder has, by its configuration."""
    config = getattr(model.config, "global_config", model.config.get_text_config(decoder=True))
    for key in ("num_layers_per_stack", "decoder_layers", "num_decoder_layers", "num_layers", "num_hidden_layers"):
        if isinstance(count := getattr(config, key, None), int):
            return count
    raise ValueError(f"{type(config).__name__} has no number of layers")
