"""`evaluate` against llama-perplexity, on whole and on cut models."""

import pathlib
import re

from cuts import CASES, layers
from models import gguf_path
from tools import EVALUATION, THREADS, folder, llama, resect, resect_json

CONTEXT = 512


def llama_perplexity(path, text=EVALUATION, context=CONTEXT, options=()):
    """The final estimate of llama-perplexity. On a busy machine it can end well and lose its last line: ask again."""
    for _ in range(5):
        said = llama("llama-perplexity", "-m", path, "-f", text, "-c", context, "-t", THREADS, *options)
        if found := re.search(r"Final estimate: PPL = ([0-9.]+)", said):
            return float(found[1])
    raise ValueError(f"llama-perplexity gave no estimate for {path}")


def evaluate(path, text=EVALUATION, context=CONTEXT):
    return resect_json("evaluate", path, "--corpus", text, "--context", context)["perplexity"]


def agree(checks, label, ours, theirs):
    checks.check(f"{label}: perplexity", abs(ours / theirs - 1) < 0.005,
                 f"{ours:.4f}, llama-perplexity {theirs:.4f}, apart {100 * (ours / theirs - 1):+.3f} % (within 0.5 %)")


def check(checks):
    for name, source, gguf_source, run in CASES:
        with checks.section(f"evaluate {name}"), folder() as work:
            models(checks, name, source, gguf_source, run, pathlib.Path(work))


def models(checks, name, source, gguf_source, run, work):
    """Whole and cut; as GGUF in its own types, and as HF folder against the bf16 GGUF."""
    cut_folder, cut, cut_bf16 = work / "cut", work / "cut.gguf", work / "cut-bf16.gguf"
    for output, of in ((cut_folder, source), (cut, gguf_source), (cut_bf16, gguf_path(name))):
        resect("cut", of, "-o", output, "--layers", layers(run))
    for title, hf, bf16, gguf in (
            ("whole", source, gguf_path(name), gguf_source),
            (f"without {layers(run)}", cut_folder, cut_bf16, cut)):
        theirs = llama_perplexity(bf16)
        agree(checks, f"evaluate {name} {title}, HF folder", evaluate(hf), theirs)
        agree(checks, f"evaluate {name} {title}, bf16 GGUF", evaluate(bf16), theirs)
        if gguf != gguf_path(name):
            agree(checks, f"evaluate {name} {title}, {gguf_source.name}", evaluate(gguf), llama_perplexity(gguf))
    if name == "fixture":
        agree(checks, "evaluate fixture in contexts of 256, HF folder",
              evaluate(source, context=256), llama_perplexity(gguf_path(name), context=256))
