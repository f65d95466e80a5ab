"""`hash` of a file that lies in memory against xxhsum's XXH3 and llama-gguf-hash's XXH64.

xxhsum runs on one thread, so the ratio of processor times says what a byte costs. The large file is made of noise; of
SmolLM2 the reading of the vocabulary counts too.
"""

import numpy as np

import models
import synthetic
from copying import LAYERS, SIZES
from rounds import medians, resect, row, seconds
from tools import LLAMA


def measure(work, options):
    random = np.random.default_rng(3)
    noise = random.integers(0x3C00, 0x3D00, 1 << 24, np.uint16)
    synthetic.folder(work / "model", LAYERS, **SIZES, fill=lambda _, count: np.resize(noise, count))
    file, small = work / "model" / "model.safetensors", models.gguf_path("smollm2", "f32")
    found = medians({
        "resect hash": lambda: resect("hash", file),
        "xxhsum -H2": lambda: seconds("xxhsum", "-H2", file),
        "resect hash, GGUF": lambda: resect("hash", small),
        "resect hash xxh64, GGUF": lambda: resect("hash", small, "--algorithm", "xxh64"),
        "llama-gguf-hash": lambda: seconds(LLAMA / "llama-gguf-hash", "--xxh64", small),
    }, options.rounds)
    size = f"{file.stat().st_size / 1e9:.2f} GB"
    what = f"GGUF of {small.stat().st_size / 1e9:.2f} GB"
    peer = "llama-gguf-hash"
    return [row(f"hash of {size}", found["resect hash"], "xxhsum -H2", found["xxhsum -H2"], 1.0),
            row(f"hash of a {what}", found["resect hash, GGUF"], peer, found[peer], None),
            row(f"xxh64 of a {what}", found["resect hash xxh64, GGUF"], peer, found[peer], None)]
