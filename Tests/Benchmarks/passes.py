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
    """Seconds for the forward pass of every sequence, all streams kept, and the distances at the last token."""
    start = time.monotonic()
    size = len(model.model.layers) + 1
    total = torch.zeros(size, size, dtype=torch.float64)
    for ids in sequences:
        unit = forward.streams(model, ids)[:, -1].double()
        unit = unit / unit.norm(dim=-1, keepdim=True)
        total += torch.arccos((unit @ unit.T).clamp(-1, 1))
    return time.monotonic() - start


def measure(work, options):
    torch.set_num_threads(2)
    sequences = forward.chunks(SMOLLM2_HF, CALIBRATION, SAMPLES, CONTEXT)
    output = work / "a.json"
    contenders = {"resect analyze": lambda: resect(
        "analyze", SMOLLM2_HF, "--corpus", CALIBRATION, "--context", CONTEXT, "--samples", SAMPLES,
        "-o", output, output=output)}
    for dtype in (torch.float32, torch.bfloat16):
        model = forward.load(SMOLLM2_HF, dtype)
        contenders[f"PyTorch {str(dtype).removeprefix('torch.')}"] = (
            lambda model=model: torch_pass(model, sequences))
    found = medians(contenders, options.rounds)
    ours = found.pop("resect analyze")
    best = min(found, key=found.get)
    return [row("analyze, 16 x 512 tokens of SmolLM2", ours, name, theirs, 1.0 if name == best else None)
            for name, theirs in found.items()]
