"""`analyze` against the same pass in PyTorch: 16 x 512 tokens of SmolLM2, the residual streams and their distances."""

import time

import torch

import forward
from models import SMOLLM2_HF
from rounds import medians, resect, row
from tools import CALIBRATION

SAMPLES, CONTEXT = 16, 512


@torch.inference_mode()
def torch_pass(model, sequences):
    """The times of the forward pass of every sequence, all streams kept, and the distances at the last token."""
    processor, start = time.process_time(), time.monotonic()
    size = len(model.model.layers) + 1
    total = torch.zeros(size, size, dtype=torch.float64)
    for ids in sequences:
        unit = forward.streams(model, ids)[:, -1].double()
        unit = unit / unit.norm(dim=-1, keepdim=True)
        total += torch.arccos((unit @ unit.T).clamp(-1, 1))
    return time.monotonic() - start, time.process_time() - processor


def measure(work, options):
    torch.set_num_threads(2)
    sequences = forward.chunks(SMOLLM2_HF, CALIBRATION, SAMPLES, CONTEXT)
    output = work / "a.json"
    ours = {f"resect in {precision}": lambda precision=precision: resect(
        "analyze", SMOLLM2_HF, "--corpus", CALIBRATION, "--context", CONTEXT, "--samples", SAMPLES,
        "--precision", precision, "-o", output, output=output) for precision in ("f32", "bf16")}
    theirs = {}
    for dtype in (torch.float32, torch.bfloat16):
        model = forward.load(SMOLLM2_HF, dtype)
        theirs[f"PyTorch {str(dtype).removeprefix('torch.')}"] = (
            lambda model=model: torch_pass(model, sequences))
    found = medians(ours | theirs, options.rounds)
    best = min(theirs, key=lambda name: found[name][0])
    return [row(f"analyze, 16 x 512 tokens of SmolLM2, {name}", found[name], peer, found[peer],
                1.0 if peer == best else None) for name in ours for peer in theirs]
