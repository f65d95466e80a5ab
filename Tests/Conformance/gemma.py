"""Gemma 3: a real model as a folder and cut, and the language model of one that takes images."""

import os
import pathlib
import warnings

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

import classes
import families
import familytable
import smallmodels
from tokens import GEMMA3
from tools import folder, generate, resect

PROMPTS = ("The capital of France is", "Once upon a time there was a small dog who")
TOKENS, CUT = 64, "9:11"
TEXT = dict(num_hidden_layers=6, hidden_size=64, intermediate_size=96, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
            query_pre_attn_scalar=16, sliding_window=9, vocab_size=familytable.VOCABULARY, max_position_embeddings=128, bos_token_id=0,
            eos_token_id=0, pad_token_id=None)


def check(checks):
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    with checks.section("gemma3-270m"), folder() as work:
        real(checks, pathlib.Path(work))
    with checks.section("gemma3 with images"), warnings.catch_warnings(), folder() as work:
        warnings.simplefilter("ignore")
        images(checks, pathlib.Path(work))


def real(checks, work):
    """The most likely continuations are the same in transformers and in llama.cpp, whole and cut in either container."""
    resect("convert", GEMMA3, "-o", work / "whole", "--dtype", "f32")
    resect("convert", work / "whole", "-o", work / "whole.gguf", "--dtype", "f32")
    resect("cut", work / "whole", "-o", work / "cut", "--layers", CUT)
    resect("cut", work / "whole.gguf", "-o", work / "cut.gguf", "--layers", CUT)
    for name in ("whole", "cut"):
        tokenizer = AutoTokenizer.from_pretrained(work / name)
        model, info = AutoModelForCausalLM.from_pretrained(work / name, output_loading_info=True)
        checks.equal(f"gemma3-270m, {name}: loads with no missing or unexpected key",
                     [f"{kind} {keys}" for kind, keys in info.items() if keys])
        for prompt in PROMPTS:
            ids = tokenizer(prompt, return_tensors="pt").input_ids
            found = model.generate(ids, max_new_tokens=TOKENS, do_sample=False)[0][ids.shape[1]:]
            ours, theirs = tokenizer.decode(found).strip(), generate(work / f"{name}.gguf", prompt, TOKENS)
            checks.check(f"gemma3-270m, {name}: '{prompt}' goes on alike in llama.cpp", ours == theirs,
                         "" if ours == theirs else f"{os.path.commonprefix([ours, theirs])[-60:]!r} is where they part")


def images(checks, work):
    """A small model of the class that takes images: its language model alone gives the same logits, as a folder and as GGUF."""
    label = "gemma3 with images"
    source = work / "source"
    kind = transformers.Gemma3ForConditionalGeneration
    model = smallmodels.build(kind, {"text_config": TEXT})
    model.save_pretrained(source)
    families.tokenizer().save_pretrained(source)
    ids = torch.randint(4, familytable.VOCABULARY - 8, (1, 40), generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        expected = model(input_ids=ids).logits[0]
    resect("convert", source, "-o", work / "text", "--text-only")
    text, info = AutoModelForCausalLM.from_pretrained(work / "text", output_loading_info=True)
    checks.equal(f"{label}: the text class loads with no missing or unexpected key",
                 [f"{kind} {keys}" for kind, keys in info.items() if keys])
    checks.check(f"{label}: its class", type(text).__name__ == "Gemma3ForCausalLM", type(text).__name__)
    with torch.no_grad():
        checks.below(f"{label}: logits of the text class", classes.apart(text(input_ids=ids).logits[0], expected), 1e-6)
    states = families.States()
    try:
        for name, command in {"the folder": None, "GGUF": ["convert", source, "-o", work / "text.gguf", "--dtype", "f32"]}.items():
            if command:
                resect(*command)
            _, found = states(command[3] if command else source, work, ids[0])
            checks.below(f"{label}: logits of resect on {name}", classes.apart(found, expected), families.LIMIT)
    finally:
        states.end()
