"""The distances and the nearest runs of `analyze` against a plain PyTorch pass in f32."""

import gc
import json

import torch

import forward
from tools import CALIBRATION, folder, resect_json

SAMPLES, CONTEXT = 16, 512


def nearest_block(matrix, n):
    """The run of n layers with the least distance; the last layer is never in it."""
    size = matrix.shape[0] - 1
    return min(range(size - n), key=lambda l: float(matrix[l, l + n]))


def check(checks):
    for name, model_path, tokenizer_folder in forward.MODELS:
        with checks.section(f"distances {name}"):
            sequences = forward.chunks(tokenizer_folder, CALIBRATION, SAMPLES, CONTEXT)
            model = forward.load(model_path)
            theirs = forward.distances(model, sequences)
            del model
            gc.collect()
            for kind in ("last", "all"):
                label = f"distances {name} '{kind}'"
                with checks.section(label):
                    ours = analyze(checks, label, model_path, kind)
                    checks.check(f"{label}: samples and tokens",
                                 (ours["samples"], ours["tokens"]) == (len(sequences), sequences.numel()),
                                 f"{ours['samples']} and {ours['tokens']}")
                    compare(checks, label, ours, theirs, kind)


def analyze(checks, label, model_path, kind):
    with folder() as work:
        written = f"{work}/a.json"
        ours = resect_json("analyze", model_path, "--corpus", CALIBRATION, "--context", CONTEXT,
                           "--samples", SAMPLES, "--tokens", kind, "-o", written)
        with open(written, encoding="utf-8") as stream:
            checks.check(f"{label}: the file is what --json prints", json.load(stream) == ours)
    return ours


def compare(checks, label, ours, theirs, kind):
    """The matrices that are there, the asked one among them, and the runs that it reports."""
    for which in sorted(ours["distance"].keys() | {kind}):
        mine, matrix = torch.tensor(ours["distance"][which], dtype=torch.float64), theirs[which]
        if checks.check(f"{label}: size of '{which}'", mine.shape == matrix.shape, f"{list(mine.shape)}"):
            checks.below(f"{label}: '{which}', largest difference", (mine - matrix).abs().max().item(), 1e-4)
    most = min(12, ours["layers"] - 1)
    chosen = {}
    for candidate in ours["candidates"]:  # of each size the nearest is first
        start, end = map(int, candidate["layers"][0].split(":"))
        chosen.setdefault(end - start, start)
    expected = {n: nearest_block(theirs[kind], n) for n in range(1, most + 1)}
    checks.equal(f"{label}: the same run for every n up to {most}", [
        f"n = {n}: starts at {chosen.get(n)}, expected {start}"
        for n, start in expected.items() if chosen.get(n) != start])
