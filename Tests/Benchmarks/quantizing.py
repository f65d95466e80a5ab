"""`quantize` of a llama of 1.1 billion parameters in bf16 against llama-quantize; and from its HF folder, in one go, against
convert_hf_to_gguf.py followed by llama-quantize, which need a file between them. Two threads each.

The weights are Gaussian, each tensor another stretch of one long sequence; the vocabulary is SmolLM2's.
"""

import json
import shutil
import sys

import numpy as np

import synthetic
from models import SMOLLM2_HF
from rounds import THREADS, medians, remove, resect, row, seconds
from tools import HERE, LLAMA

# What a type may take of llama-quantize's time: the simple ones are bound by memory and the disk.
TARGETS = {"Q4_0": 0.5, "Q8_0": 0.5, "Q4_K_M": 0.2, "Q6_K": 0.2, "IQ4_XS": 0.2}


def large(path):
    """The HF folder of 1.1 billion parameters, with a tokenizer that llama.cpp's converter knows."""
    random = np.random.default_rng(1)
    values = random.standard_normal((1 << 26) + (1 << 20), np.float32) * 0.02
    words = (values.view(np.uint32) >> 16).astype(np.uint16)

    def fill(_, count):
        start = int(random.integers(0, 1 << 20))
        return np.resize(words[start:start + (1 << 26)], count)

    synthetic.folder(path, 22, hidden=2048, ffn=5632, kv=256, vocabulary=49152, fill=fill)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(SMOLLM2_HF / name, path / name)
    config = json.loads((path / "config.json").read_text())
    config |= {key: json.loads((SMOLLM2_HF / "config.json").read_text())[key] for key in ("bos_token_id", "eos_token_id")}
    (path / "config.json").write_text(json.dumps(config, indent=2))


def in_two_steps(folder, between, output):
    """The times of the converter and of llama-quantize after each other, and of the file between them."""
    remove(output)
    remove(between)
    first = seconds(sys.executable, HERE / "converter.py", "-", folder, "--outfile", between, "--outtype", "bf16")
    second = seconds(LLAMA / "llama-quantize", between, output, "Q4_K_M", THREADS, output=output)
    remove(between)
    return tuple(a + b for a, b in zip(first, second))


def measure(work, options):
    folder, model, output = work / "model", work / "model.gguf", work / "out.gguf"
    large(folder)
    resect("convert", folder, "-o", model)
    # llama-quantize takes half a minute for Q4_K_M, and more than a minute and a half for IQ4_XS.
    rounds = min(2, options.rounds)
    rows = []
    for kind, target in TARGETS.items():
        found = medians({
            f"resect quantize {kind}": lambda: resect("quantize", model, "-o", output, "--type", kind, output=output),
            f"llama-quantize {kind}": lambda: seconds(
                LLAMA / "llama-quantize", model, output, kind, THREADS, output=output),
        }, rounds)
        rows.append(row(f"quantize to {kind}", found[f"resect quantize {kind}"], "llama-quantize",
                        found[f"llama-quantize {kind}"], target))
    between = work / "between.gguf"
    found = medians({
        "resect quantize, from a folder": lambda: resect(
            "quantize", folder, "-o", output, "--type", "Q4_K_M", output=output),
        "converter and llama-quantize": lambda: in_two_steps(folder, between, output),
    }, rounds)
    return rows + [row("HF folder to Q4_K_M", found["resect quantize, from a folder"], "converter, llama-quantize",
                       found["converter and llama-quantize"], 0.1)]
