"""Large checkpoints without content, for memory and time: an HF folder whose weights are a sparse file."""

import json
import pathlib

import numpy as np


def shapes(layers, hidden, ffn, kv, vocabulary):
    """Every tensor of a llama with its shape, in the order of the file; the small ones stand at the end."""
    large, small = outside(hidden, vocabulary), {}
    for layer in range(layers):
        prefix = f"model.layers.{layer}."
        large |= attention(prefix, hidden, hidden, kv) | mlp(f"{prefix}mlp.", hidden, ffn)
        small |= {f"{prefix}{n}_layernorm.weight": (hidden,) for n in ("input", "post_attention")}
    return large | small | {"model.norm.weight": (hidden,)}


def expert_shapes(layers, hidden, ffn, kv, vocabulary, experts):
    """The same for a Qwen 3 with experts: queries twice as wide as the stream, and norms of queries and keys."""
    large, small = outside(hidden, vocabulary), {}
    for layer in range(layers):
        prefix = f"model.layers.{layer}."
        large |= attention(prefix, hidden, 2 * hidden, kv) | {f"{prefix}mlp.gate.weight": (experts, hidden)}
        for expert in range(experts):
            large |= mlp(f"{prefix}mlp.experts.{expert}.", hidden, ffn)
        small |= {f"{prefix}{n}_layernorm.weight": (hidden,) for n in ("input", "post_attention")}
        small |= {f"{prefix}self_attn.{n}_norm.weight": (128,) for n in "qk"}
    return large | small | {"model.norm.weight": (hidden,)}


def outside(hidden, vocabulary):
    return {"model.embed_tokens.weight": (vocabulary, hidden), "lm_head.weight": (vocabulary, hidden)}


def attention(prefix, hidden, queries, kv):
    return {f"{prefix}self_attn.q_proj.weight": (queries, hidden), f"{prefix}self_attn.k_proj.weight": (kv, hidden),
            f"{prefix}self_attn.v_proj.weight": (kv, hidden), f"{prefix}self_attn.o_proj.weight": (hidden, queries)}


def mlp(prefix, hidden, ffn):
    return {f"{prefix}{n}_proj.weight": (ffn, hidden) for n in ("gate", "up")} | {f"{prefix}down_proj.weight": (hidden, ffn)}


def is_small(name):
    """Whether a tensor has content: the norms do."""
    return name.endswith("norm.weight")


def folder(path, layers, hidden=4096, ffn=11008, kv=1024, vocabulary=32000, fill=None):
    """Writes a folder of a llama and gives the bytes of its weights. Norms are random; the other tensors are a hole
    in the file, or what `fill(name, count)` gives, as 16-bit words."""
    config = dict(
        architectures=["LlamaForCausalLM"], model_type="llama", dtype="bfloat16", hidden_size=hidden,
        intermediate_size=ffn, num_attention_heads=hidden // 64, num_key_value_heads=kv // 64, head_dim=64,
        num_hidden_layers=layers, max_position_embeddings=4096, rms_norm_eps=1e-5, rope_theta=10000.0,
        tie_word_embeddings=False, vocab_size=vocabulary)
    return write(path, shapes(layers, hidden, ffn, kv, vocabulary), config, fill)


def experts(path, layers, hidden, ffn, kv, vocabulary, experts, used):
    """Writes a folder of a Qwen 3 with experts, a hole but for the norms, and gives the bytes of its weights."""
    config = dict(
        architectures=["Qwen3MoeForCausalLM"], model_type="qwen3_moe", dtype="bfloat16", hidden_size=hidden,
        intermediate_size=3 * hidden, moe_intermediate_size=ffn, num_experts=experts, num_experts_per_tok=used,
        norm_topk_prob=True, decoder_sparse_step=1, mlp_only_layers=[], num_attention_heads=hidden // 64,
        num_key_value_heads=kv // 128, head_dim=128, num_hidden_layers=layers, max_position_embeddings=4096,
        rms_norm_eps=1e-6, rope_theta=1e6, tie_word_embeddings=False, vocab_size=vocabulary)
    return write(path, expert_shapes(layers, hidden, ffn, kv, vocabulary, experts), config)


def write(path, shapes, config, fill=None):
    path = pathlib.Path(path)
    path.mkdir(parents=True)
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in shapes.items():
        size = 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    random = np.random.default_rng(1)
    with open(path / "model.safetensors", "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        base = file.tell()
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            begin, end = entry["data_offsets"]
            file.seek(base + begin)
            if is_small(name):
                file.write(random.integers(0x3F00, 0x4000, (end - begin) // 2, np.uint16).tobytes())
            elif fill:
                file.write(fill(name, (end - begin) // 2).tobytes())
        file.truncate(base + offset)
    (path / "config.json").write_text(json.dumps(config, indent=2))
    return offset
