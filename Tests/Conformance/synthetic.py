"""Large llama checkpoints without content, for memory and time: an HF folder whose weights are a sparse file."""

import json
import pathlib

import numpy as np


def shapes(layers, hidden, ffn, kv, vocabulary):
    """Every tensor with its shape, in the order of the file; the small ones stand at the end."""
    large = {"model.embed_tokens.weight": (vocabulary, hidden), "lm_head.weight": (vocabulary, hidden)}
    small = {}
    for layer in range(layers):
        prefix = f"model.layers.{layer}."
        for name, rows in (("q", hidden), ("k", kv), ("v", kv), ("o", hidden)):
            large[f"{prefix}self_attn.{name}_proj.weight"] = rows, hidden
        large |= {f"{prefix}mlp.{n}_proj.weight": (ffn, hidden) for n in ("gate", "up")}
        large[f"{prefix}mlp.down_proj.weight"] = hidden, ffn
        small |= {f"{prefix}{n}_layernorm.weight": (hidden,) for n in ("input", "post_attention")}
    return large | small | {"model.norm.weight": (hidden,)}


def is_small(name):
    """Whether a tensor has content: the norms do."""
    return name.endswith("norm.weight")


def folder(path, layers, hidden=4096, ffn=11008, kv=1024, vocabulary=32000, fill=None):
    """Writes the folder and gives the bytes of its weights. Norms are random; the other tensors are a hole
    in the file, or what `fill(name, count)` gives, as 16-bit words."""
    path = pathlib.Path(path)
    path.mkdir(parents=True)
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in shapes(layers, hidden, ffn, kv, vocabulary).items():
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
    (path / "config.json").write_text(json.dumps(dict(
        architectures=["LlamaForCausalLM"], model_type="llama", dtype="bfloat16", hidden_size=hidden,
        intermediate_size=ffn, num_attention_heads=hidden // 64, num_key_value_heads=kv // 64, head_dim=64,
        num_hidden_layers=layers, max_position_embeddings=4096, rms_norm_eps=1e-5, rope_theta=10000.0,
        tie_word_embeddings=False, vocab_size=vocabulary), indent=2))
    return offset
