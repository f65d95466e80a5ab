#!/usr/bin/env python3
"""Makes the first inputs of the fuzzer in corpora/, and the words that it puts into them in words.txt.

    make-corpora.py [PROGRAM]     PROGRAM is the release build of this repository by default; it packs the archives

Every target has a few small files that are right, so that mutations reach what lies behind the first checks.
"""

import base64
import json
import pathlib
import struct
import subprocess
import sys
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FORMATS = ROOT / "formats"
LAYERS = 2


def save(name, contents):
    path = HERE / "corpora" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(contents if isinstance(contents, bytes) else contents.encode())


def shapes(hidden, ffn, vocabulary, keys=None):
    """The tensors of a model like Llama by role, row-major."""
    keys = keys or hidden
    layer = {"attention_norm": [hidden], "attention_q": [hidden, hidden], "attention_k": [keys, hidden],
             "attention_v": [keys, hidden], "attention_output": [hidden, hidden], "ffn_norm": [hidden],
             "ffn_gate": [ffn, hidden], "ffn_up": [ffn, hidden], "ffn_down": [hidden, ffn]}
    yield "token_embedding", None, [vocabulary, hidden]
    yield "output_norm", None, [hidden]
    for number in range(LAYERS):
        for role, shape in layer.items():
            yield role, number, shape


def named(column, *sizes):
    """The same tensors with the names of a container: 1 for Hugging Face's, 2 for GGUF's."""
    llama = json.loads((FORMATS / "architectures/llama.json").read_text())
    for role, layer, shape in shapes(*sizes):
        place = llama["tensors"][role]["hf" if column == 1 else "gguf"]
        name = place if isinstance(place, str) else place["of"]
        yield name.replace("{p}", llama["hf"]["prefixes"][0]).replace("{layer}", str(layer)), shape


def count(shape):
    result = 1
    for size in shape:
        result *= size
    return result


def safetensors(tensors, metadata=None):
    header, data = ({"__metadata__": metadata} if metadata else {}), b""
    for name, dtype, shape, width in tensors:
        size = count(shape) * width
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + size]}
        data += bytes(n % 61 for n in range(size))
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def text(value):
    return struct.pack("<Q", len(value.encode())) + value.encode()


def value(item):
    """A metadata value with its type before it: (code, number) pairs, texts, truth values, or lists of one kind."""
    if isinstance(item, str):
        return struct.pack("<I", 8) + text(item)
    if isinstance(item, bool):
        return struct.pack("<I?", 7, item)
    if isinstance(item, list):
        kind = value(item[0])[:4]
        return struct.pack("<I", 9) + kind + struct.pack("<Q", len(item)) + b"".join(value(i)[4:] for i in item)
    code, number = item
    kind = {"B": 0, "b": 1, "H": 2, "h": 3, "I": 4, "i": 5, "f": 6, "Q": 10, "q": 11, "d": 12}[code]
    return struct.pack(f"<I{code}", kind, number)


def gguf(pairs, tensors, alignment=32, version=3):
    bytes_ = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(pairs))
    for key, item in pairs.items():
        bytes_ += text(key) + value(item)
    offset = 0
    for name, kind, shape, size in tensors:
        bytes_ += text(name) + struct.pack("<I", len(shape))
        bytes_ += b"".join(struct.pack("<Q", n) for n in reversed(shape)) + struct.pack("<IQ", kind, offset)
        offset += -(-size // alignment) * alignment
    bytes_ += bytes(-len(bytes_) % alignment)
    return bytes_ + b"".join(bytes(-(-size // alignment) * alignment) for *_, size in tensors)


def llama(vocabulary):
    """The metadata of a tiny Llama with its vocabulary."""
    number = {"block_count": LAYERS, "context_length": 64, "embedding_length": 4, "feed_forward_length": 6,
              "attention.head_count": 2, "attention.head_count_kv": 1, "attention.key_length": 2,
              "attention.value_length": 2, "vocab_size": len(vocabulary["tokens"])}
    pairs = {"general.architecture": "llama", "general.name": "tiny"}
    pairs |= {f"llama.{key}": ("I", n) for key, n in number.items()}
    pairs |= {"llama.rope.freq_base": ("f", 10000.0), "llama.attention.layer_norm_rms_epsilon": ("f", 1e-5),
              "llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": ("f", 2.0)}
    pairs |= {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "llama-bpe",
              "tokenizer.ggml.tokens": vocabulary["tokens"],
              "tokenizer.ggml.token_type": [("i", n) for n in vocabulary["kinds"]],
              "tokenizer.ggml.merges": vocabulary["merges"], "tokenizer.ggml.bos_token_id": ("I", 0),
              "tokenizer.ggml.eos_token_id": ("I", 1), "tokenizer.ggml.add_bos_token": True,
              "tokenizer.chat_template": "{{ x }}"}
    return pairs


def importance():
    """Importance matrices of a matrix and three experts in each of two layers: the form of today and the one before."""
    columns, experts = 32, 3
    pairs = {"general.type": "imatrix", "imatrix.datasets": ["a.txt"], "imatrix.chunk_count": ("I", 2),
             "imatrix.chunk_size": ("I", 16)}
    tensors, older = [], struct.pack("<i", 2 * LAYERS)
    for layer in range(LAYERS):
        for name, matrices in ((f"blk.{layer}.attn_q.weight", 1), (f"blk.{layer}.ffn_up_exps.weight", experts)):
            tensors += [(f"{name}.in_sum2", 0, [matrices, columns], 4 * matrices * columns),
                        (f"{name}.counts", 0, [matrices, 1], 4 * matrices)]
            values = [1.0 + n % 5 for n in range(matrices * columns)]
            older += struct.pack(f"<i{len(name)}sii{len(values)}f", len(name), name.encode(), 2, len(values), *values)
    return gguf(pairs, tensors), older + struct.pack("<ii5s", 2, 5, b"a.txt")


def adapters():
    """Adapters of fixtures/tiny/llama3 (32 wide, feed-forward 48, 64 tokens, 3 layers): of PEFT, mlx-lm and llama.cpp."""
    layers, stem = range(3), "base_model.model.model.layers"
    def pairs(layer):
        return [(f"{stem}.{layer}.self_attn.q_proj.lora_A.weight", [1, 32]), (f"{stem}.{layer}.self_attn.q_proj.lora_B.weight", [32, 1]),
                (f"{stem}.{layer}.mlp.down_proj.lora_A.weight", [1, 48]), (f"{stem}.{layer}.mlp.down_proj.lora_B.weight", [32, 1])]
    linear = [pair for layer in layers for pair in pairs(layer)]
    dora = [(name.replace("lora_A.weight", "lora_magnitude_vector"), [32]) for name, _ in linear if "lora_A" in name]
    embedding = "base_model.model.model.embed_tokens"
    outer = [(f"{embedding}.lora_embedding_A", [1, 64]), (f"{embedding}.lora_embedding_B", [32, 1]),
             ("base_model.model.model.norm.weight", [32]), (f"{stem}.0.self_attn.q_proj.base_layer.bias", [32])]
    tokens = [(f"{embedding}.token_adapter.trainable_tokens_delta", [2, 32])]
    resized = [(f"{embedding}.weight", [66, 32]), ("base_model.model.lm_head.weight", [66, 32])]
    bias = [(name.replace("weight", "bias"), [32]) for name, _ in linear if "lora_B" in name]
    for name, tensors in {"linear": linear, "dora": linear + dora, "outer": linear + outer, "tokens": linear + tokens,
                          "resized": linear + resized, "bias": linear + bias}.items():
        save(f"adapter/{name}.safetensors", safetensors([(name, "F32", shape, 4) for name, shape in tensors]))
    mlx = [(f"model.layers.{layer}.{module}", inputs) for layer in (1, 2)
           for module, inputs in (("self_attn.q_proj", 32), ("mlp.down_proj", 48))]
    lora = [part for name, inputs in mlx for part in ((f"{name}.lora_a", [inputs, 1]), (f"{name}.lora_b", [1, 32]))]
    for name, tensors in {"lora": lora, "dora": lora + [(f"{name}.m", [32]) for name, _ in mlx]}.items():
        save(f"mlxadapter/{name}.safetensors", safetensors([(name, "F32", shape, 4) for name, shape in tensors], {"format": "mlx"}))
    head = {"general.architecture": "llama", "general.type": "adapter", "adapter.type": "lora", "adapter.lora.alpha": ("f", 2.0)}
    parts = [(f"blk.{layer}.{name}.weight.lora_{side}", 0, shape, 4 * count(shape)) for layer in layers
             for name, inputs in (("attn_q", 32), ("ffn_down", 48)) for side, shape in (("a", [1, inputs]), ("b", [32, 1]))]
    table = [("token_embd.weight.lora_a", 0, [64, 1], 256), ("token_embd.weight.lora_b", 0, [32, 1], 128)]
    save("ggufadapter/linear.gguf", gguf(head, parts))
    save("ggufadapter/outer.gguf", gguf(head, [*parts, *table, ("output_norm.weight", 0, [32], 128)]))
    plain = {"peft_type": "LORA", "r": 1, "lora_alpha": 2, "target_modules": ["q_proj", "down_proj"], "base_model_name_or_path": "b"}
    lists = {"r": 8, "rank_pattern": {"q_proj": 1, r"layers\.[0-2]\.mlp\..*": 1}, "alpha_pattern": {"^model.layers.1.mlp.down_proj": 3.5},
             "layers_to_transform": [0, 1, 2], "layers_pattern": "layers", "exclude_modules": ["k_proj"], "use_rslora": True,
             "target_modules": ["q_proj", "model.layers.0.mlp.down_proj", "mlp.down_proj"]}
    regex = {"target_modules": r"(?:.*?(?:self_attn|mlp).*?(?:q_proj|down_proj).*?)|(?:\bmodel\.layers\.[\d]{1,}\.mlp)",
             "auto_mapping": {"unsloth_fixed": True}, "trainable_token_indices": {"embed_tokens": [3]}, "modules_to_save": ["norm"]}
    mlx_config = {"fine_tune_type": "lora", "num_layers": 2, "model": "b",
                  "lora_parameters": {"rank": 1, "scale": 2.0, "dropout": 0, "keys": ["self_attn.q_proj", "mlp.down_proj"]}}
    for name, config in {"plain": plain, "lists": plain | lists, "regex": plain | regex, "mlx": mlx_config}.items():
        save(f"adapterconfig/{name}.json", json.dumps(config))


VOCABULARY = {
    "tokens": ["<s>", "</s>", *"aegnhitIndr", "\u0120", "\u010a", "in", "th", "the", "\u0120the", "\u00c3\u00a9"],
    "merges": ["i n", "t h", "th e", "\u0120 the"],
}
VOCABULARY["kinds"] = [3, 3] + [1] * (len(VOCABULARY["tokens"]) - 2)


def tokenizer(pre):
    """A tokenizer.json of the vocabulary, for one way to cut words."""
    rules = json.loads((FORMATS / "tokenizers" / f"{pre}.json").read_text())
    ids = {token: number for number, token in enumerate(VOCABULARY["tokens"])}
    merges = VOCABULARY["merges"] if pre == "gpt-2" else [merge.split(" ") for merge in VOCABULARY["merges"]]
    added = [{"id": number, "content": token, "single_word": pre == "qwen2", "lstrip": pre == "smollm",
              "rstrip": pre == "smollm", "normalized": pre == "qwen2", "special": True}
             for token, number in ids.items() if number < 2]
    single = [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    post = {"type": "TemplateProcessing", "single": single, "pair": single + single,
            "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}}}
    return {"version": "1.0", "added_tokens": added, "normalizer": rules.get("normalizer"),
            "pre_tokenizer": rules["pre_tokenizer"], "post_processor": post if pre != "gpt-2" else None,
            "model": {"type": "BPE", "ignore_merges": pre == "llama-bpe", "vocab": ids, "merges": merges}}


SPACE = "\u2581"
PIECES = [("<unk>", 0, 2), ("<s>", 0, 3), ("</s>", 0, 3), ("<0x0A>", 0, 6), ("the", -1, 1), (SPACE + "the", -2, 1),
          *((token, -3 - i, 1) for i, token in enumerate([SPACE, *"abdehnrst", "th", "he", "in"])), (SPACE * 2, 0, 4)]


def symbols(kind):
    """A tokenizer.json of SentencePiece's kinds."""
    charsmap = struct.pack("<I", 8) + struct.pack("<II", 1 << 10, 0) + b"e\0"
    steps = [{"type": "Precompiled", "precompiled_charsmap": base64.b64encode(charsmap).decode()},
             {"type": "Prepend", "prepend": SPACE}, {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}]
    metaspace = {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "first", "split": False}
    pairs = {"type": "BPE", "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True,
             "vocab": {token: i for i, (token, _, _) in enumerate(PIECES)}, "merges": [["t", "h"], ["th", "e"], ["t", "he"]]}
    unigram = {"type": "Unigram", "unk_id": 0, "byte_fallback": True, "vocab": [[token, score] for token, score, _ in PIECES]}
    return {"version": "1.0", "added_tokens": [{"id": 1, "content": "<s>", "special": True}],
            "normalizer": {"type": "Sequence", "normalizers": steps if kind == "pairs" else steps[:1]},
            "pre_tokenizer": None if kind == "pairs" else metaspace, "model": pairs if kind == "pairs" else unigram}


def pieces(model):
    """A tokenizer.model of SentencePiece: 1 is a unigram model, 2 byte-pair encoding."""
    number = lambda field, value: bytes([field << 3 & 0x7F | (0x80 if field > 15 else 0), *([field >> 4] if field > 15 else []), value])
    part = lambda field, body: bytes([field << 3 | 2, len(body)]) + body
    each = (part(1, token.encode()) + b"\x15" + struct.pack("<f", score) + number(3, kind) for token, score, kind in PIECES)
    training = number(3, model) + number(35, 1) + number(41, 1) + number(42, 2)
    return b"".join(part(1, piece) for piece in each) + part(2, training) + part(3, number(3, model - 1) + number(4, 1))


def words():
    """Keys, names and numbers that mutations rarely find by themselves."""
    settings = json.loads((FORMATS / "layer-settings.json").read_text())
    found = {"\\x00" * 8, "\\xff" * 8, "\\x01" + "\\x00" * 7, "\\xff\\xff\\xff\\x7f", "\\x09\\x00\\x00\\x00",
             "9223372036854775807", "-9223372036854775808", "18446744073709551616", "1e400", "1e-400", "-0.0", "null",
             "true", "[[", "{\\\"", "\\\\u0000", "\\\\ud800", "\\\\u001b", "e\\xcc\\x81", "\\xc3\\xa9"}
    for path in FORMATS.glob("architectures/*.json"):
        for setting in json.loads(path.read_text())["settings"].values():
            for side in ("hf", "gguf"):
                keys = setting.get(side, [])
                found |= {key.split(":")[0] for key in ([keys] if isinstance(keys, str) else keys)}
    for key in ("config", "gguf"):
        found |= set(settings[key])
    found |= {row["name"] for row in json.loads((FORMATS / "quants/types.json").read_text())}
    found |= {"rope_scaling", "rope_parameters", "rope_type", "llama3", "yarn", "linear", "factor", "low_freq_factor",
              "high_freq_factor", "original_max_position_embeddings", "general.alignment", "split.count", "split.no",
              "split.tensors.count", "imatrix.datasets", "imatrix.chunk_count", "imatrix.chunk_size", ".in_sum2", ".counts",
              "weight_map", "__metadata__", "data_offsets", "rope_freqs.weight",
              "peft_type", "LORA", "lora_alpha", "target_modules", "rank_pattern", "alpha_pattern", "exclude_modules", "use_rslora",
              "use_dora", "modules_to_save", "target_parameters", "trainable_token_indices", "layers_to_transform", "layers_pattern",
              "fine_tune_type", "lora_parameters", "num_layers", "all-linear", ".lora_A.weight", ".lora_B.weight", ".lora_embedding_A",
              ".lora_magnitude_vector", ".base_layer", ".token_adapter.trainable_tokens_delta", ".lora_a", ".lora_b",
              "adapter.type", "adapter.lora.alpha", "general.type", "(?:", "(?=", "[\\\\\\\\d]", "{1,9}", "\\\\\\\\b",
              "num_nextn_predict_layers", "added_tokens", "post_processor", "add_prefix_space", "ignore_merges",
              "byte_fallback", "Metaspace", "prepend_scheme", "Unigram", "Precompiled", "precompiled_charsmap"}
    (HERE / "words.txt").write_text("".join(f'"{word}"\n' for word in sorted(found)))


def main(program=ROOT / ".build/release/resect"):
    types = (("F64", 8), ("F32", 4), ("BF16", 2), ("F8_E4M3", 1), ("BOOL", 1))
    save("safetensors/types.safetensors", safetensors(
        [(f"h.{n}.w", dtype, [n, 2], width) for n, (dtype, width) in enumerate(types)], {"format": "pt"}))
    save("safetensors/llama.safetensors", safetensors(
        [(name, "BF16", shape, 2) for name, shape in named(1, 4, 6, 21, 2)]))
    save("safetensors/scalar.safetensors", safetensors([("scalar \u00e9\u001b", "I8", [], 1), ("empty", "F16", [0, 3], 2)]))

    save("gguf/llama.gguf", gguf(llama(VOCABULARY), [
        (name, 0, shape, 4 * count(shape)) for name, shape in named(2, 4, 6, 21, 2)]))
    kinds = {f"k.{code}": (code, 1) for code in "BbHhIifQqd"}
    save("gguf/types.gguf", gguf(
        {"general.architecture": "none", **kinds, "k.list": [("H", 1), ("H", 2)], "k.texts": ["a", ""],
         "general.alignment": ("I", 64)},
        [("blk.0.w", 8, [2, 32], 68), ("blk.1.w", 12, [256], 144), ("blk.2.w", 30, [1, 1, 2, 2], 8)], 64))
    save("gguf/split-00001-of-00002.gguf", gguf(
        {"general.architecture": "llama", "split.no": ("H", 0), "split.count": ("H", 2),
         "split.tensors.count": ("i", 1)}, [("blk.0.w", 0, [], 4)], version=2))

    adapters()
    for name, contents in zip(("today.gguf", "older.dat"), importance()):
        save(f"importance/{name}", contents)

    torch = ROOT / "fixtures/tiny/torch"
    for name in ("nested.bin", "nested-old.bin", "types-old.bin"):
        save(f"pytorch/{name}", (torch / name).read_bytes())
    for name in ("nested", "types", "views"):
        with zipfile.ZipFile(torch / f"{name}.bin") as archive:
            record = next(n for n in archive.namelist() if n.endswith("/data.pkl"))
            save(f"pickle/{name}.pkl", archive.read(record))

    base = json.loads((ROOT / "fixtures/tiny/llama3/config.json").read_text())
    plain = {k: v for k, v in base.items() if k != "rope_parameters"} | {"rope_theta": 10000.0}
    save("config/llama3.json", json.dumps(base))
    for kind, more in (("yarn", {"beta_fast": 32, "attention_factor": 1.0}), ("linear", {})):
        scaling = {"rope_type": kind, "factor": 2.0, "original_max_position_embeddings": 64, **more}
        save(f"config/{kind}.json", json.dumps(plain | {"rope_scaling": scaling}))
    lists = {"layer_types": ["full_attention"] * 3, "mlp_only_layers": [0], "max_window_layers": 1,
             "num_kv_shared_layers": 0, "sliding_window_pattern": 3, "sliding_window": 16}
    save("config/lists.json", json.dumps(plain | lists))

    for pre in ("gpt-2", "llama-bpe", "qwen2", "smollm"):
        save(f"tokenizer/{pre}.json", json.dumps(tokenizer(pre)))
    for number, kind in enumerate(("unigram", "pairs"), 1):
        save(f"tokenizer/{kind}.json", json.dumps(symbols(kind)))
        save(f"sentencepiece/{kind}.model", pieces(number))
    texts = {"tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": [token for token, _, _ in PIECES],
             "tokenizer.ggml.scores": [("f", score) for _, score, _ in PIECES],
             "tokenizer.ggml.token_type": [("i", kind) for _, _, kind in PIECES]}
    save("gguf/symbols.gguf", gguf({"general.architecture": "none", **texts}, [("blk.0.w", 0, [], 4)]))

    names = json.loads(tensor_names())
    save("index/whole.json", json.dumps({"metadata": {"total_size": 1}, "weight_map": names}))
    save("index/other.json", json.dumps({"weight_map": {"a": "other.safetensors", "b": "../model.safetensors"}}))
    words()
    for name in ("types.safetensors", "llama.safetensors"):
        source = HERE / "corpora/safetensors" / name
        output = HERE / "corpora/archive" / f"{source.stem}.resect"
        output.parent.mkdir(exist_ok=True)
        subprocess.run([program, "pack", source, "-o", output, "--force", "--quiet"], check=True)


def tensor_names():
    """The names of the tiny model's tensors, all in its one file."""
    bytes_ = (ROOT / "fixtures/tiny/llama3/model.safetensors").read_bytes()
    header = json.loads(bytes_[8:8 + struct.unpack("<Q", bytes_[:8])[0]])
    return json.dumps({name: "model.safetensors" for name in header if name != "__metadata__"})


if __name__ == "__main__":
    main(*sys.argv[1:])
