"""`tokenize` against HF's tokenizers, for the four pre-tokenizers, from tokenizer.json and from GGUF."""

import json
import pathlib
import unicodedata

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer

import sampletext
import vocabularies
from models import SMOLLM2, SMOLLM2_HF, gguf_path
from tools import CACHE, FIXTURE, folder, resect_json

LLAMA_VOCABULARIES = CACHE / "llama.cpp" / "models"


def check(checks):
    for name, source, gguf in (("gpt-2 fixture", FIXTURE, gguf_path("fixture")),
                               ("smollm SmolLM2", SMOLLM2_HF, SMOLLM2)):
        with checks.section(f"tokenize {name}"):
            compare(checks, f"tokenize {name}", source, gguf)
    for pre in ("gpt-2", "llama-bpe", "qwen2"):
        label = f"tokenize {pre} full vocabulary"
        with checks.section(label), folder() as work:
            gguf = LLAMA_VOCABULARIES / f"ggml-vocab-{pre}.gguf"
            source = pathlib.Path(work) / "model"
            small_model(gguf, source)
            known_answers(checks, label, source, gguf)
            compare(checks, label, source, gguf, normal=pre == "qwen2")


def small_model(gguf, output):
    """An HF folder with the vocabulary of a GGUF file and weights that are as small as can be."""
    vocabularies.save(gguf, output)
    size = Tokenizer.from_file(str(output / "tokenizer.json")).get_vocab_size()
    hidden, ffn = 8, 8
    shapes = {"model.embed_tokens.weight": (size, hidden), "model.norm.weight": (hidden,)}
    prefix = "model.layers.0."
    shapes |= {f"{prefix}self_attn.{n}_proj.weight": (hidden, hidden) for n in "qkvo"}
    shapes |= {f"{prefix}mlp.{n}_proj.weight": (ffn, hidden) for n in ("gate", "up", "down")}
    shapes |= {f"{prefix}{n}_layernorm.weight": (hidden,) for n in ("input", "post_attention")}
    save_file({name: np.ones(shape, np.float16) for name, shape in shapes.items()},
              output / "model.safetensors", {"format": "pt"})
    (output / "config.json").write_text(json.dumps(dict(
        architectures=["LlamaForCausalLM"], model_type="llama", dtype="float16", hidden_size=hidden,
        intermediate_size=ffn, num_attention_heads=1, num_key_value_heads=1, num_hidden_layers=1,
        max_position_embeddings=512, rms_norm_eps=1e-5, rope_theta=10000.0, tie_word_embeddings=True,
        vocab_size=size)))


def known_answers(checks, label, source, gguf):
    """Holds the reference itself to the ids that llama.cpp's own tests expect for this vocabulary."""
    tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
    texts = gguf.with_suffix(".gguf.inp").read_bytes().decode("utf-8").split(sampletext.SEPARATOR)
    answers = gguf.with_suffix(".gguf.out").read_text().split("\n")
    wrong = [f"{text!r}" for text, answer in zip(texts, answers)
             if tokenizer.encode(text, add_special_tokens=False).ids != [int(i) for i in answer.split()]]
    checks.equal(f"{label}: the reference knows llama.cpp's {len(texts)} answers", wrong)


def compare(checks, label, source, gguf, normal=False):
    """All sample texts. A GGUF file cannot say that text is normalized first: there, it is beforehand."""
    tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
    special = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
    with folder() as work:
        for title, text in sampletext.texts(special):
            theirs = tokenizer.encode(text)
            for form, model in (("tokenizer.json", source), ("GGUF", gguf)):
                if normal and form == "GGUF" and not unicodedata.is_normalized("NFC", text):
                    text = unicodedata.normalize("NFC", text)
                    theirs = tokenizer.encode(text)
                file = pathlib.Path(work) / "text.txt"
                file.write_bytes(text.encode("utf-8"))
                ours = resect_json("tokenize", model, "--text", file)["ids"]
                checks.check(f"{label}, {form}: {title}", ours == theirs.ids,
                             f"{len(ours)} ids" if ours == theirs.ids else difference(ours, theirs, text))


def difference(ours, theirs, text):
    """Where two lists of ids part, with the text there."""
    place = next((i for i, (a, b) in enumerate(zip(ours, theirs.ids)) if a != b), min(len(ours), len(theirs.ids)))
    at = theirs.offsets[place][0] if place < len(theirs.ids) else len(text)
    return (f"{len(ours)} ids, expected {len(theirs.ids)}; from number {place} {ours[place:place + 6]}, "
            f"expected {theirs.ids[place:place + 6]}, text {text[max(0, at - 4):at + 12]!r}")
