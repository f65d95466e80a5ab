"""What the 4-bit types cost: the divergence from SmolLM2 in bf16, with importance and without, beside llama-quantize's files.

Files of the same tensors are measured once: that they are the same is the check, the divergence is a figure. $DIVERGENCE_CHUNKS
contexts are run, 4 by default; the figures of more are steadier.
"""

import os
import re

import tensorfiles
from models import gguf_path, imatrix
from tools import EVALUATION, THREADS, folder, llama, resect

MIXTURES = ("Q4_0", "IQ4_XS", "Q4_K_S", "Q4_K_M")
CHUNKS = int(os.environ.get("DIVERGENCE_CHUNKS", "4"))
# The text has other books than the one that importance is measured on.
RUN = ("-f", EVALUATION, "-c", 512, "--chunks", CHUNKS, "-t", THREADS)


def measure(model, base):
    """The mean divergence with its error, and how often the likeliest token is the same in percent, by llama-perplexity."""
    said = llama("llama-perplexity", "-m", model, *RUN, "--kl-divergence-base", base, "--kl-divergence")
    mean = re.search(r"Mean +KLD: +(-?[0-9.]+) ± +([0-9.]+)", said)
    same = re.search(r"Same top p: +([0-9.]+)", said)
    if not mean or not same:
        raise ValueError(f"llama-perplexity gave no divergence for {model}")
    return float(mean[1]), float(mean[2]), float(same[1])


def check(checks):
    model = gguf_path("smollm2")
    with folder() as work:
        base = f"{work}/logits"
        # f32 holds every value of bf16, and is faster to run.
        llama("llama-perplexity", "-m", gguf_path("smollm2", "f32"), *RUN, "--kl-divergence-base", base)
        for mixture in MIXTURES:
            found = {}
            for weighted in (False, True):
                label = f"divergence {mixture}{' by importance' if weighted else ''}"
                with checks.section(label):
                    found[weighted] = one(checks, label, model, mixture, weighted, base, work)
            if len(found) == 2:
                checks.check(f"divergence {mixture}: importance brings it nearer", found[True][0] < found[False][0],
                             f"{found[True][0]:.5f} (below {found[False][0]:.5f})")


def one(checks, label, model, mixture, weighted, base, work):
    ours, theirs = f"{work}/ours.gguf", f"{work}/theirs.gguf"
    extra = ["--imatrix", imatrix()] if weighted else []
    resect("quantize", model, "-o", ours, "--type", mixture, "--force", *extra)
    llama("llama-quantize", *extra, model, theirs, mixture, THREADS)
    same = checks.equal(f"{label}: tensors equal llama-quantize's", tensorfiles.tensor_differences(
        tensorfiles.gguf_tensors(ours), tensorfiles.gguf_tensors(theirs)))
    for name, path in (("resect", ours),) if same else (("resect", ours), ("llama-quantize", theirs)):
        mean, error, top = measure(path, base)
        size = os.path.getsize(path)
        checks.note(f"{mixture:7} {'importance' if weighted else 'plain':10} {'both' if same else name:14} "
                    f"{size / 1e6:7.2f} MB  KL divergence {mean:.5f} ± {error:.5f}, same top {top:.2f} %")
        if name == "resect":
            result = mean, error
    return result
