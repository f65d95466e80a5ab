"""The distances and the chosen blocks of `analyze` against a plain PyTorch pass in f32."""

import gc
import json

import torch

import forward
from tools import CALIBRATION, folder, resect_json

SAMPLES, CONTEXT = 16, 512


def nearest_block(matrix, n):
    """The block of n layers with the least distance; the last layer is never in it."""
    size = matrix.shape[0] - 1
    return min(range(size - n), key=lambda l: float(matrix[l, l + n]))


def check(checks):
    for name, model_path, tokenizer_folder in forward.MODELS:
        with checks.section(f"distances {name}"), folder() as work:
            written = f"{work}/a.json"
            ours = resect_json("analyze", model_path, "--corpus", CALIBRATION, "--context", CONTEXT,
                               "--samples", SAMPLES, "-o", written)
            with open(written, encoding="utf-8") as stream:
                checks.check(f"distances {name}: the file is what --json prints", json.load(stream) == ours)
            sequences = forward.chunks(tokenizer_folder, CALIBRATION, SAMPLES, CONTEXT)
            checks.check(f"distances {name}: samples and tokens",
                         (ours["samples"], ours["tokens"]) == (len(sequences), sequences.numel()),
                         f"{ours['samples']} and {ours['tokens']}")
            model = forward.load(model_path)
            theirs = forward.distances(model, sequences)
            del model
            gc.collect()
            compare(checks, name, ours, theirs)


def compare(checks, name, ours, theirs):
    for kind, matrix in theirs.items():
        mine = torch.tensor(ours["distance"][kind], dtype=torch.float64)
        if not checks.check(f"distances {name}: size of '{kind}'", mine.shape == matrix.shape,
                            f"{list(mine.shape)}"):
            continue
        checks.below(f"distances {name}: '{kind}', largest difference",
                     (mine - matrix).abs().max().item(), 1e-4)
    chosen = {block["end"] - block["start"]: block["start"] for block in ours["blocks"]}
    wrong = []
    for n in range(1, min(12, ours["layers"] - 1) + 1):
        expected = nearest_block(theirs["last"], n)
        if chosen.get(n) != expected:
            wrong.append(f"n = {n}: starts at {chosen.get(n)}, expected {expected}")
    checks.equal(f"distances {name}: the same block for every n up to {min(12, ours['layers'] - 1)}", wrong)
