"""`cut` of GGUF files of the causal classes: llama.cpp gives the logits of transformers with the layers skipped, or `cut` refuses.

The models of `classes` go through llama.cpp's converter. Models that it does not take, or that llama.cpp computes otherwise than
transformers, are listed and left out. $CLASSES limits the part as it does there; `knownclasses.WRONG_GGUF` lists what is wrong."""

import collections
import os
import pathlib
import re
import subprocess
import sys
import warnings

import numpy as np
import torch
import transformers
from transformers.utils import logging

import classes
import classtable
import gguftable
import knownclasses
import skipping
import smallmodels
import tensorfiles
from tools import CACHE, HERE, folder

# In standard deviations of the logits: how far llama.cpp may be from transformers on the whole model, and on a cut one, as a multiple
# of that and at least. Its f16 tables of GELU cost up to a few 1e-3.
PEER, FACTOR, LEAST = 0.02, 4, 1e-3
MODELS = 90


class Worker:
    """A program that answers each line with a line."""

    def __init__(self, name):
        self.process = subprocess.Popen([sys.executable, HERE / name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, *words):
        """Nothing, or what went wrong."""
        self.process.stdin.write("\t".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        return None if answer == "ok" else answer or "the worker ended"

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def check(checks):
    counts, skipped = collections.Counter(), []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    converter, runner = Worker("convertworker.py"), Worker("logitsworker.py")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for label, name, members in classes.cases():
                if name in taken():
                    found = outcomes(label, name, members, converter, runner)
                    if isinstance(found, str):
                        skipped.append(f"{label}: {found}")
                    else:
                        classes.report(checks, counts, label, found, "gguf ", knownclasses.WRONG_GGUF)
    finally:
        torch.set_num_threads(threads)
        converter.end()
        runner.end()
    for text in skipped:
        checks.note(f"not cut: {text}")
    if "CLASSES" not in os.environ:
        checks.check("gguf classes that the peers agree on", counts["models"] >= MODELS, f"{counts['models']} (at least {MODELS})")
    checks.note(classes.summary(counts))


def taken():
    """The classes that the converter has a module for."""
    text = (CACHE / "llama.cpp" / "conversion" / "__init__.py").read_text(encoding="utf-8")
    return set(re.findall(r'"(\w+)":', text[text.index("TEXT_MODEL_MAP"):text.index("MMPROJ_MODEL_MAP")]))


def outcomes(label, name, members, converter, runner):
    """As in `classes`; or why the peers leave the model out."""
    kind = getattr(transformers, name)
    with folder() as work:
        source, whole = pathlib.Path(work) / "model", pathlib.Path(work) / "whole.gguf"
        try:
            smallmodels.build(kind, smallmodels.merged(members, gguftable.MEMBERS.get(name, {}))).save_pretrained(source)
            model = classes.loaded(kind, source)
            layers = skipping.stacks(model, smallmodels.depth(model))
            expected = skipping.observe(model, layers, classes.TOKENS)
        except Exception as error:  # the peer's, of any type
            return {"all": ("wrong", f"the model of the test itself: {classes.brief(error)}")}
        gguftable.complete(source, name)
        if reason := converter(source, whole):
            return f"the converter does not take it: {reason}"
        try:
            base = classes.apart(run(runner, whole, expected), expected[0])
        except classes.Wrong as error:
            return str(error)
        if base > PEER:
            return f"llama.cpp computes another model, {base:.1g} off"
        return {block: outcome(label, block, whole, model, layers, runner, max(LEAST, FACTOR * base)) for block in classes.BLOCKS}


def outcome(label, block, whole, model, layers, runner, limit):
    output = whole.with_name(f"cut-{block.replace(':', '-')}.gguf")
    try:
        if refusal := classes.cut(whole, output, block, names):
            return "refused", refusal
        if block in classtable.UNDEFINED.get(label, {}):
            return "wrong", f"not refused: {classtable.UNDEFINED[label][block]}"
        with skipping.skipping(layers, classes.BLOCKS[block]):
            expected = skipping.logits(model, classes.TOKENS)
        found = classes.apart(run(runner, output, expected), expected[0])
    except Exception as error:  # the peer's, of any type
        return "wrong", classes.brief(error)
    return ("right", f"{found:.1g}") if found < limit else ("wrong", f"logits are off by {found:.2g}, of {limit:.1g}")


def names(path):
    """What a refusal can name, and the names of the tensors."""
    return set(tensorfiles.gguf_metadata(path)) | {path.name}, " ".join(tensorfiles.gguf_tensors(path))


def run(runner, path, expected):
    """The logits of the first text in llama.cpp."""
    output = path.with_suffix(".logits")
    if reason := runner(path, output, " ".join(map(str, classes.TOKENS[0].tolist()))):
        raise classes.Wrong(f"llama.cpp does not run it: {reason}")
    found = torch.from_numpy(np.fromfile(output, dtype=np.float32).reshape(classes.TOKENS.shape[1], -1))
    return found[:, :expected.shape[-1]]
