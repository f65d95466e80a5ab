"""`cut` of the causal classes of transformers: what it writes loads and computes what skipping the layers computes, or it refuses.

Each model is small and has random weights. $CLASSES limits the part to classes whose names contain one of its words.
`classtable.NOT_BUILT` lists the classes that are not cut, and why; `knownclasses.WRONG` what is wrong today: an entry that is not
wrong any more fails the part, too."""

import collections
import json
import os
import pathlib
import re
import subprocess
import warnings

import torch
import transformers
from safetensors import safe_open
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.utils import logging

import classtable
import knownclasses
import skipping
import smallmodels
from tools import RESECT, folder

BLOCKS = {"0:1": range(1), "1:2": range(1, 2), "2:4": range(2, 4), "3:6": range(3, 6), "7:8": range(7, 8)}
# In standard deviations of the logits: what may differ, and how much the skipped layers have to matter.
LIMIT, EFFECT = 1e-4, 1e-2
TOKENS = torch.randint(2, 60, (2, 24), generator=torch.Generator().manual_seed(3))


class Wrong(Exception):
    """Neither a right model nor a refusal that says why."""


def check(checks):
    counts = collections.Counter()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the models are so small that a second thread costs more than it does
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for label, name, members in cases():
                report(checks, counts, label, outcomes(label, getattr(transformers, name), members))
    finally:
        torch.set_num_threads(threads)
    for name, reason in classtable.NOT_BUILT.items():
        checks.note(f"not cut: {name}: {reason}")
    checks.note(summary(counts))


def summary(counts):
    cuts = sum(counts[kind] for kind in ("right", "refused", "wrong"))
    return (f"{counts['models']} models, {cuts} cuts: {counts['right']} right, {counts['refused']} refused, "
            f"{counts['wrong']} wrong")


def cases():
    """A label, the class and the members of its configuration, for every class and for its variants."""
    words = os.environ.get("CLASSES", "").split()
    for name in dict.fromkeys([*MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values(), *classtable.MULTIMODAL]):
        members = classtable.MEMBERS.get(name, {})
        variants = {name: members} | {f"{name}, {variant}": members | more
                                      for variant, more in classtable.VARIANTS.get(name, {}).items()}
        for label, chosen in variants.items():
            if name not in classtable.NOT_BUILT and (not words or any(word in label for word in words)):
                yield label, name, chosen


def report(checks, counts, label, found, form="", wrong=knownclasses.WRONG):
    """One check a model: the outcome of every block, and the known failures among them."""
    blocks, cause = wrong.get(label, ("", ""))
    said, good = [], True
    counts["models"] += 1
    for block, (kind, text) in found.items():
        counts[kind] += 1
        known = block in blocks.split()
        good &= known == (kind == "wrong")
        if known:
            text = cause if kind == "wrong" else f"{text} (take it off the list of known failures)"
        if kind == "wrong":
            text = f"{'known to be ' if known else ''}wrong: {text}"
        said.append(f"{block} {text}")
    checks.check(f"cut {form}{label}", good, "; ".join(said))


def outcomes(label, kind, members):
    """By block: `right` with the difference, `refused` with the cause, or `wrong` with what happened."""
    with folder() as work:
        source = pathlib.Path(work) / "model"
        try:
            smallmodels.build(kind, members).save_pretrained(source)
            model = loaded(kind, source)
            layers = skipping.stacks(model, smallmodels.depth(model))
            whole = skipping.observe(model, layers, TOKENS)
            if not layers:
                raise Wrong("its layers were not found")
        except Exception as error:  # the peer's, of any type
            return {"all": ("wrong", f"the model of the test itself: {brief(error)}")}
        return {block: outcome(label, block, kind, source, model, layers, whole) for block in BLOCKS}


def outcome(label, block, kind, source, model, layers, whole):
    output = source.with_name(f"cut-{block.replace(':', '-')}")
    try:
        if refusal := cut(source, output, block, names):
            return "refused", refusal
        if block in classtable.UNDEFINED.get(label, {}):
            return "wrong", f"not refused: {classtable.UNDEFINED[label][block]}"
        with skipping.skipping(layers, BLOCKS[block]):
            expected = skipping.logits(model, TOKENS)
        if apart(whole, expected) < EFFECT:
            return "wrong", "the test itself: these layers do not matter"
        found = apart(skipping.logits(loaded(kind, output), TOKENS), expected)
    except Exception as error:  # the peer's, of any type
        return "wrong", brief(error)
    return ("right", f"{found:.1g}") if found < LIMIT else ("wrong", f"logits are off by {found:.2g}")


def apart(found, expected):
    """The largest difference in standard deviations."""
    return ((found - expected).abs().max() / expected.std()).item()


def cut(source, output, block, named):
    """Runs the program. Gives nothing, or the cause that it refuses with, which has to be one of those `named`."""
    done = subprocess.run([RESECT, "cut", source, "-o", output, "--layers", block, "--quiet"], capture_output=True, text=True)
    if done.returncode == 0:
        return None
    said = re.sub(rf"^resect: ({re.escape(str(source))}:? ?)?", "", done.stderr.strip()).splitlines() or [""]
    if done.returncode != 2:
        raise Wrong(f"exit status {done.returncode}: {said[0]}")
    if left := [path.name for path in source.parent.iterdir() if path.name.startswith(output.name)]:
        raise Wrong(f"refused, but {' '.join(left)} was written: {said[0]}")
    found, tensors = named(source)
    if len(said) > 2 or not any(word in found or (len(word) > 4 and word in tensors)
                                for word in re.findall(r"[\w.-]*\w", said[0])):
        raise Wrong(f"refused without a name: {' '.join(said)}")
    return f"refused: {said[0]}"


def names(source):
    """What a refusal can name: files, keys of the configuration, the class; and the names of the tensors."""
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    found = {path.name for path in source.iterdir()} | set(config.get("architectures", ())) | {config["model_type"]}
    unread = [config]
    while unread:
        for key, value in unread.pop().items():
            found.add(key)
            if isinstance(value, dict):
                unread.append(value)
    with safe_open(source / "model.safetensors", "pt") as file:
        return found, " ".join(file.keys())


def loaded(kind, path):
    """The model of a folder, which has to hold all of its tensors and no others."""
    model, info = kind.from_pretrained(path, dtype=torch.float32, output_loading_info=True)
    for key, keys in info.items():
        if keys:
            raise Wrong(f"{key.replace('_', ' ')}: {' '.join(sorted(map(str, keys))[:2])}")
    return model.eval()


def brief(error):
    kind = "" if isinstance(error, Wrong) else f"{type(error).__name__}: "
    return (kind + " ".join(str(error).split()))[:200]
