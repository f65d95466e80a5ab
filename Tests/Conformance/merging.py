"""`merge` against PEFT: every kind of adapter on small models, bit for bit, and the merged model against base plus adapter.

PEFT's own sum is taken in f32, from the base in f32, and rounded once. $ADAPTERS limits the kinds to those whose names contain one
of its words."""

import os
import shutil

import torch

import adaptermodels
import tensorfiles
from adapterkinds import KINDS
from tools import resect

DTYPES = {"bf16": torch.bfloat16, "f32": torch.float32}
# Where PEFT and we round in another order: how far apart two values may be, relative to the largest of their tensor, and how many
# may differ.
APART, SHARE = {"bf16": 2**-8, "f32": 1e-6}, {"bf16": 0.01, "f32": 1}


def check(checks):
    with adaptermodels.workplace() as (work, bases):
        for number, (label, kind) in enumerate(wanted().items()):
            path = work / str(number)
            with checks.section(f"merge, {label}"):
                one(checks, f"merge, {label} ({kind.model})", kind, bases, path)
            shutil.rmtree(path, ignore_errors=True)
        if "ADAPTERS" not in os.environ:
            others(checks, bases, work)


def others(checks, bases, work):
    """Several adapters, one with a tokenizer, other types than the base's, and wrong adapters."""
    import mergingbad
    import mergingseveral
    import mergingtokens
    import mergingtypes
    mergingseveral.check(checks, bases, made(work / "several"))
    mergingtokens.check(checks, made(work / "tokens"))
    mergingtypes.check(checks, bases, made(work / "types"))
    mergingbad.check(checks, bases, made(work / "bad"))


def made(path):
    path.mkdir()
    return path


def wanted():
    words = os.environ.get("ADAPTERS", "").split(",")
    return {label: kind for label, kind in KINDS.items() if any(word in label for word in words)}


def one(checks, label, kind, bases, work):
    """One adapter: both types bit for bit, then the merged folder in transformers."""
    path, said, merged = make(kind, bases, work)
    for dtype, form in DTYPES.items():
        output = work / dtype
        resect("merge", bases.path(kind.model), "-o", output, "--adapter", path, "--dtype", dtype)
        compare(checks, label, kind, output, merged, dtype, form)
    loads(checks, label, output, said)


def make(kind, bases, work):
    """The folder of an adapter, the logits of base plus adapter, and the merged tensors in f32."""
    path = work / "adapter"
    base = adaptermodels.resized(bases.load(kind.model), kind.tokens)
    adaptermodels.adapter(base, kind.lora(), path, **dict(kind.options))
    inner = path / kind.options.get("peft", {}).get("adapter_name", "")
    if kind.rewrite and not kind.foreign:
        kind.rewrite(inner)
    said, merged = reference(kind, bases, inner, work)
    if kind.foreign:
        kind.rewrite(inner)
    return inner, said, merged


def reference(kind, bases, path, work):
    """Base plus adapter by PEFT."""
    # New rows are in the adapter, and not those of the base; only an untied copy needs rows of the output that no file has.
    def base(model):
        return adaptermodels.resized(model, kind.tokens, seed=5 if kind.untied else 6)
    said, model = adaptermodels.applied(base(bases.load(kind.model)), path)
    if kind.untied or kind.once:
        _, model = adaptermodels.applied(adaptermodels.untied(base(bases.load(kind.model))), path)
    merged = adaptermodels.tensors(model, work / "merged", torch.float32)
    if kind.once:
        del merged["lm_head.weight"]
    return said, merged


def compare(checks, label, kind, output, merged, dtype, form):
    ours = tensorfiles.safetensors_tensors(output)
    names = {torch.bfloat16: "BF16", torch.float32: "F32"}
    theirs = {name: (names[form], tuple(t.shape), t.to(form).contiguous().view(torch.uint8).numpy().tobytes())
              for name, t in merged.items()}
    if not kind.rounds:
        checks.equal(f"{label}: {dtype} equals PEFT's bit for bit", tensorfiles.tensor_differences(ours, theirs))
        return
    wrong = list(tensorfiles.tensor_differences({n: (*t[:2], b"") for n, t in ours.items()},
                                                {n: (*t[:2], b"") for n, t in theirs.items()}))
    furthest, differing, count = 0, 0, 0
    for name in [] if wrong else theirs:
        mine, right = (torch.frombuffer(bytearray(tensors[name][2]), dtype=form).float() for tensors in (ours, theirs))
        furthest = max(furthest, ((mine - right).abs().max() / right.abs().max()).item())
        differing, count = differing + (mine != right).sum().item(), count + len(mine)
    checks.equal(f"{label}: {dtype} has PEFT's tensors", wrong)
    checks.check(f"{label}: {dtype} within PEFT's rounding", furthest <= APART[dtype] and differing <= SHARE[dtype] * count,
                 f"{differing} of {count} values differ, by {furthest:.2g} of the largest (within {APART[dtype]:.2g}; {kind.rounds})")


def loads(checks, label, output, said):
    """The folder loads with every key, and the logits are those of base plus adapter."""
    model, info = adaptermodels.load(output, output_loading_info=True)
    checks.equal(f"{label}: loads in transformers with no missing or unexpected key",
                 [f"{key} {value}" for key, value in info.items() if value])
    apart = ((adaptermodels.logits(model) - said).abs().max() / said.std()).item()
    checks.below(f"{label}: logits against base plus adapter, largest difference in standard deviations", apart, 1e-4)
