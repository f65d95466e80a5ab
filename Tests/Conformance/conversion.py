"""HF to GGUF against llama.cpp's converter, and back again against the source."""

import json
import pathlib
import shutil

from tokenizers import Tokenizer
from transformers import AutoConfig, AutoTokenizer

import forward
import sampletext
import tensorfiles
from models import SMOLLM2, SMOLLM2_HF, SOURCES, TYPES, convert, gguf_path
from tools import FIXTURE, folder, resect

# The writer's version, and where the folder lay.
CONFIG_EXEMPT = ("transformers_version", "_name_or_path")


def check(checks):
    for name, (source, _) in SOURCES.items():
        for outtype in TYPES:
            with checks.section(f"convert {name} to {outtype}"), folder() as work:
                to_gguf(checks, name, source, outtype, f"{work}/model.gguf")
        with checks.section(f"convert {name} back"), folder() as work:
            back(checks, f"convert {name} back", gguf_path(name), source, pathlib.Path(work))
    label = "convert smollm2 from q4_1"
    with checks.section(label), folder() as work:
        # The HF folder was made from this file, by transformers and gguf-py.
        back(checks, label, SMOLLM2, SMOLLM2_HF, pathlib.Path(work), "--dtype", "bf16")
    label = "convert a tokenizer with everything"
    with checks.section(label), folder() as work:
        everything(checks, label, pathlib.Path(work))


def everything(checks, label, work):
    """The fixture with all named tokens, tokens around a text and between two, and several chat templates."""
    source, ours, theirs = work / "source", work / "ours.gguf", work / "theirs.gguf"
    shutil.copytree(FIXTURE, source)
    tokenizer = json.loads((source / "tokenizer.json").read_text())
    model = tokenizer["model"]
    names = {number: token for token, number in model["vocab"].items()}
    special = {"<mask>": 2047, "<sep>": 2046, "<end>": 2045, "<pad>": 2044}
    for token, number in special.items():
        old = names[number]
        model["merges"] = [m for m in model["merges"] if old not in (*m, "".join(m))]
        del model["vocab"][old]
        model["vocab"][token] = number
        tokenizer["added_tokens"].append(dict(id=number, content=token, single_word=False, lstrip=False, rstrip=False,
                                              normalized=False, special=True))
    token = lambda name: {"SpecialToken": {"id": name, "type_id": 0}}
    text = lambda name: {"Sequence": {"id": name, "type_id": 0}}
    first = "<|endoftext|>"
    tokenizer["post_processor"] = {
        "type": "TemplateProcessing", "single": [token(first), text("A"), token("<end>")],
        "pair": [token(first), text("A"), token("<sep>"), text("B"), token("<end>")],
        "special_tokens": {name: {"id": name, "ids": [number], "tokens": [name]}
                           for name, number in {first: 0, "<end>": 2045, "<sep>": 2046}.items()}}
    (source / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False))
    settings = json.loads((source / "tokenizer_config.json").read_text())
    templates = {"default": "D{{ messages }}", "tool_use": "T{{ tools }}"}
    settings |= dict(mask_token="<mask>", sep_token="<sep>", pad_token="<pad>",
                     chat_template=[dict(name=k, template=v) for k, v in templates.items()])
    (source / "tokenizer_config.json").write_text(json.dumps(settings))
    resect("convert", source, "-o", ours)
    convert(source, theirs, "bf16", "gpt-2")
    checks.equal(f"{label}: metadata equals the converter's", tensorfiles.value_differences(
        tensorfiles.gguf_metadata(ours), tensorfiles.gguf_metadata(theirs)))
    resect("convert", ours, "-o", work / "back")
    found = AutoTokenizer.from_pretrained(work / "back")
    checks.equal(f"{label}: templates come back", [f"{found.chat_template}"] if found.chat_template != templates else [])
    ours, theirs = (Tokenizer.from_file(str(work / name / "tokenizer.json")) for name in ("back", "source"))
    checks.equal(f"{label}: the tokenizer encodes the same", [
        title for title, text in sampletext.texts([first, *special]) if ours.encode(text).ids != theirs.encode(text).ids])


def to_gguf(checks, name, source, outtype, output):
    label = f"convert {name} to {outtype}"
    resect("convert", source, "-o", output, "--dtype", outtype)
    theirs = gguf_path(name, outtype)
    checks.equal(f"{label}: tensors equal the converter's", tensorfiles.tensor_differences(
        tensorfiles.gguf_tensors(output), tensorfiles.gguf_tensors(theirs)))
    checks.equal(f"{label}: metadata equals the converter's", tensorfiles.value_differences(
        tensorfiles.gguf_metadata(output), tensorfiles.gguf_metadata(theirs)))


def back(checks, label, gguf, source, work, *options):
    """A GGUF file to an HF folder, which must be the one that it was made from."""
    output = work / "model"
    resect("convert", gguf, "-o", output, *options)
    checks.equal(f"{label}: tensors equal the source's", tensorfiles.tensor_differences(
        tensorfiles.safetensors_tensors(output), tensorfiles.safetensors_tensors(source)))
    config = lambda path: AutoConfig.from_pretrained(str(path)).to_dict()
    checks.equal(f"{label}: configuration", tensorfiles.value_differences(
        config(output), config(source), CONFIG_EXEMPT))
    _, info = forward.load(output, output_loading_info=True)
    checks.equal(f"{label}: loads in transformers with no missing or unexpected key",
                 [f"{kind} {keys}" for kind, keys in info.items() if keys])
    ours, theirs = AutoTokenizer.from_pretrained(output), AutoTokenizer.from_pretrained(source)
    checks.equal(f"{label}: special tokens and chat template", [
        f"{key} is {getattr(ours, key)!r}, expected {getattr(theirs, key)!r}"
        for key in ("bos_token", "eos_token", "unk_token", "pad_token", "chat_template")
        if getattr(ours, key) != getattr(theirs, key)])
    ours, theirs = (Tokenizer.from_file(str(p / "tokenizer.json")) for p in (output, source))
    special = [t.content for t in theirs.get_added_tokens_decoder().values()]
    checks.equal(f"{label}: the tokenizer encodes the same", [
        title for title, text in sampletext.texts(special) if ours.encode(text).ids != theirs.encode(text).ids])
    checks.equal(f"{label}: the tokenizer has the same tokens", tensorfiles.value_differences(
        ours.get_vocab(), theirs.get_vocab()))
