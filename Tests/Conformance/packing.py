"""`pack` and `unpack`: whole files come back, archives are models, and patches are small."""

import filecmp
import pathlib

import numpy as np

from models import SMOLLM2, SMOLLM2_HF, gguf_path
from tools import FIXTURE, folder, resect, resect_json

# What is packed, and the largest share of its size that may be left.
CASES = [
    ("fixture", FIXTURE, 0.67),
    ("smollm2-hf", SMOLLM2_HF, 0.69),
    ("smollm2-bf16", gguf_path("smollm2"), 0.69),
    ("smollm2-f16", gguf_path("smollm2", "f16"), 0.69),
    ("smollm2-f32", gguf_path("smollm2", "f32"), 0.4),
    ("smollm2-q4_1", SMOLLM2, 0.9),
]


def check(checks):
    for name, source, share in CASES:
        with checks.section(f"pack {name}"), folder() as work:
            whole(checks, name, source, share, pathlib.Path(work))
    with checks.section("pack: quantized"), folder() as work:
        quantized(checks, pathlib.Path(work))
    with checks.section("pack: a patch"), folder() as work:
        patch(checks, pathlib.Path(work))


def whole(checks, name, source, share, work):
    """There and back, and the same output from the archive as from the original."""
    packed, back = work / "x.resect", work / "back"
    answer = resect_json("pack", source, "-o", packed)
    checks.below(f"pack {name}: share that is left", packed.stat().st_size / answer["originalByteCount"], share)
    resect("unpack", packed, "-o", back)
    checks.equal(f"pack {name}: every file comes back", differences(source, back))
    checks.check(f"pack {name}: inspect says the same",
                 resect("inspect", packed, "--json") == resect("inspect", source, "--json"))
    for number, model in enumerate((packed, source)):
        resect("cut", model, "-o", work / f"{number}.gguf", "--layers", "3:5")
    checks.check(f"pack {name}: cut gives the same file",
                 filecmp.cmp(work / "0.gguf", work / "1.gguf", shallow=False))


def quantized(checks, work):
    """A mixture of K-quants, from the archive and packed itself."""
    packed = work / "x.resect"
    resect("pack", SMOLLM2_HF, "-o", packed)
    for number, model in enumerate((packed, SMOLLM2_HF)):
        resect("quantize", model, "-o", work / f"{number}.gguf", "--type", "Q4_K_M")
    checks.check("pack: quantize from an archive gives the same file",
                 filecmp.cmp(work / "0.gguf", work / "1.gguf", shallow=False))
    answer = resect_json("pack", work / "0.gguf", "-o", work / "q.resect")
    checks.note(f"Q4_K_M: {answer['ratio']:.3f} of its size is left")
    resect("unpack", work / "q.resect", "-o", work / "q.gguf")
    checks.check("pack: Q4_K_M comes back", filecmp.cmp(work / "0.gguf", work / "q.gguf", shallow=False))


def patch(checks, work):
    """SmolLM2 without six layers and with one tensor a little changed, as a patch on SmolLM2."""
    import safetensors.torch
    import torch
    cut = work / "cut"
    resect("cut", SMOLLM2_HF, "-o", cut, "--layers", "13:19")
    path = cut / "model.safetensors"
    state = safetensors.torch.load_file(path)
    name = "model.layers.15.mlp.down_proj.weight"
    noise = torch.from_numpy(np.random.default_rng(3).normal(0, 1e-4, state[name].shape).astype(np.float32))
    state[name] = (state[name].float() + noise).to(torch.bfloat16)
    safetensors.torch.save_file(state, path, metadata={"format": "pt"})
    made, back = work / "x.resect", work / "back"
    answer = resect_json("pack", cut, "-o", made, "--against", SMOLLM2_HF)
    size = state[name].numel() * 2
    checks.check("pack: a patch refers to the base", answer["differences"] == 1, str(answer))
    checks.below("pack: a patch takes what the changed tensor and the tokenizer take, share",
                 made.stat().st_size / (size + 4e6), 0.6)
    resect("unpack", made, "-o", back, "--against", SMOLLM2_HF)
    checks.equal("pack: a patch and its base make the whole", differences(cut, back))


def differences(a, b):
    """Names of files that are not equal, of two files or two folders."""
    if a.is_file():
        return [] if filecmp.cmp(a, b, shallow=False) else [a.name]
    names = sorted({p.name for p in a.iterdir()} | {p.name for p in b.iterdir()})
    return filecmp.cmpfiles(a, b, names, shallow=False)[1] + filecmp.cmpfiles(a, b, names, shallow=False)[2]
