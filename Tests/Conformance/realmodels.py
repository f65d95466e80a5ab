"""Real models as they are published, GGUF files: analyzed, cut, and as folders that transformers runs."""

import os
import pathlib

from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

import perplexity
from models import SMOLLM2
from tokens import GEMMA3
from tools import CALIBRATION, EVALUATION, folder, generate, resect, resect_json

MODELS = {"gemma3-270m": GEMMA3, "smollm2": SMOLLM2}
PROMPTS = ("The capital of France is", "Once upon a time there was a small dog who")
TOKENS, DROP, CONTEXT, CONTEXTS = 64, 2, 512, 4


def check(checks):
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    for name, source in MODELS.items():
        with checks.section(name), folder() as work:
            model(checks, name, source, pathlib.Path(work))


def model(checks, name, source, work):
    """The whole model and the one without the two layers that `analyze` proposes, in both containers."""
    resect("convert", source, "-o", work / "whole", "--dtype", "f32")
    resect("convert", work / "whole", "-o", work / "whole.gguf", "--dtype", "f32")
    found = resect_json("analyze", source, "--corpus", CALIBRATION, "--context", 256, "--samples", 8, "--drop", DROP)
    run = min((each for each in found["candidates"] if each["loss"] is not None), key=lambda each: each["loss"])["layers"][0]
    for end in ("", ".gguf"):
        resect("cut", work / f"whole{end}", "-o", work / f"cut{end}", "--layers", run)
    for title in ("whole", "cut"):
        label = f"{name}, {title}" if title == "whole" else f"{name} without {run}"
        continuations(checks, label, work / title)
        losses(checks, label, work / title)


def continuations(checks, label, path):
    """The most likely continuations are the same in transformers and in llama.cpp."""
    tokenizer = AutoTokenizer.from_pretrained(path)
    loaded, info = AutoModelForCausalLM.from_pretrained(path, output_loading_info=True)
    checks.equal(f"{label}: loads with no missing or unexpected key", [f"{kind} {keys}" for kind, keys in info.items() if keys])
    for prompt in PROMPTS:
        ids = tokenizer(prompt, return_tensors="pt").input_ids
        added = loaded.generate(ids, max_new_tokens=TOKENS, do_sample=False)[0][ids.shape[1]:]
        ours = tokenizer.decode(added, skip_special_tokens=True).strip()
        theirs = generate(path.with_suffix(".gguf"), prompt, TOKENS).removesuffix("[end of text]").strip()
        checks.check(f"{label}: '{prompt}' goes on alike in llama.cpp", ours == theirs,
                     "" if ours == theirs else f"{os.path.commonprefix([ours, theirs])[-60:]!r} is where they part")


def losses(checks, label, path):
    """The perplexity of either container is llama-perplexity's."""
    gguf = path.with_suffix(".gguf")
    theirs = perplexity.llama_perplexity(gguf, options=("--chunks", CONTEXTS))
    for title, form in (("folder", path), ("GGUF", gguf)):
        ours = resect_json("evaluate", form, "--corpus", EVALUATION, "--context", CONTEXT, "--samples", CONTEXTS)["perplexity"]
        perplexity.agree(checks, f"{label}, {title}", ours, theirs)
