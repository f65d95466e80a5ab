"""`merge` of an adapter of rank 16 on all linear modules into a llama of 1.1 billion parameters in bf16: against PEFT, which loads,
merges and saves, `cp` of the base, llama-export-lora and mlx_lm.fuse. Two threads each, and the anonymous memory of ours.

resect waits until the disk has what it wrote, and the peers do not. So cp is timed twice: against `merge --no-sync`, and with a
`sync` of the copy against the merge as it is.

llama-export-lora takes and writes a GGUF file in f16; there resect merges the same file into one of f16. mlx-lm writes a folder in
bf16, from an adapter of its own form with the same numbers."""

import json
import os
import subprocess
import sys

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from memory import peak
from quantizing import large
from rounds import THREADS, medians, resect, row, seconds
from tools import CACHE, LLAMA

RANK, SCALE = 16, 2
LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
PEFT = """
import sys, torch
from peft import PeftModel
from transformers import AutoModelForCausalLM
torch.set_num_threads(int(sys.argv[4]))
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.bfloat16)
PeftModel.from_pretrained(model, sys.argv[2]).merge_and_unload().save_pretrained(sys.argv[3])
"""


def adapters(base, path, mlx):
    """The same numbers as PEFT and as mlx-lm have them."""
    torch.manual_seed(1)
    theirs, own = {}, {}
    with safe_open(base / "model.safetensors", "pt") as file:
        for name in file.keys():
            module = name.removesuffix(".weight")
            if module.rpartition(".")[2] not in LINEAR:
                continue
            out, width = file.get_slice(name).get_shape()
            a, b = 0.02 * torch.randn(RANK, width), 0.02 * torch.randn(out, RANK)
            theirs |= {f"base_model.model.{module}.lora_A.weight": a, f"base_model.model.{module}.lora_B.weight": b}
            own |= {f"{module}.lora_a": a.T.contiguous(), f"{module}.lora_b": b.T.contiguous()}
    for folder, file, tensors, config in (
            (path, "adapter_model.safetensors", theirs, dict(
                peft_type="LORA", task_type="CAUSAL_LM", r=RANK, lora_alpha=SCALE * RANK, target_modules=list(LINEAR), bias="none")),
            (mlx, "adapters.safetensors", own, dict(
                fine_tune_type="lora", num_layers=-1, lora_parameters=dict(rank=RANK, scale=SCALE, dropout=0.0)))):
        folder.mkdir()
        save_file(tensors, folder / file)
        (folder / "adapter_config.json").write_text(json.dumps(config))


def measure(work, options):
    base, adapter, mlx, output, copy = (work / name for name in ("model", "adapter", "mlx", "out", "copy.safetensors"))
    model, lora, written = work / "model.gguf", work / "adapter.gguf", work / "out.gguf"
    large(base)
    adapters(base, adapter, mlx)
    resect("convert", base, "-o", model, "--dtype", "f16")
    subprocess.run([sys.executable, CACHE / "llama.cpp" / "convert_lora_to_gguf.py", "--base", base, "--outtype", "f32",
                    "--outfile", lora, adapter], check=True, capture_output=True)
    script = work / "peft_merge.py"
    script.write_text(PEFT)
    os.environ |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": THREADS}
    file = base / "model.safetensors"
    print(f"bench: merge, peak of anonymous memory {peak('merge', base, '-o', output, '--adapter', adapter, '--no-sync'):.1f} MiB",
          file=sys.stderr, flush=True)
    subprocess.run(["rm", "-r", output], check=True)
    found = medians({
        "resect merge": lambda: resect("merge", base, "-o", output, "--adapter", adapter, output=output),
        "PEFT": lambda: seconds(sys.executable, script, base, adapter, output, THREADS, output=output),
        "resect merge --no-sync": lambda: resect("merge", base, "-o", output, "--adapter", adapter, "--no-sync", output=output),
        "cp": lambda: seconds("cp", file, copy, output=copy),
        "cp and sync": lambda: seconds("sh", "-c", 'cp "$0" "$1" && sync "$1"', file, copy, output=copy),
        "resect merge, GGUF": lambda: resect("merge", model, "-o", written, "--adapter", lora, output=written),
        "llama-export-lora": lambda: seconds(
            LLAMA / "llama-export-lora", "-m", model, "--lora", lora, "-o", written, "-t", THREADS, output=written),
        "resect merge, mlx": lambda: resect("merge", base, "-o", output, "--adapter", mlx, output=output),
        "mlx_lm.fuse": lambda: seconds(sys.executable, "-m", "mlx_lm", "fuse", "--model", base, "--adapter-path", mlx,
                                       "--save-path", output, output=output),
    }, min(2, options.rounds))
    what = f"merge into {file.stat().st_size / 1e9:.1f} GB"
    return [row(what, found["resect merge"], "PEFT", found["PEFT"], 0.1),
            row(f"{what}, --no-sync", found["resect merge --no-sync"], "cp", found["cp"], 1.3),
            row(what, found["resect merge"], "cp and sync", found["cp and sync"], 1.3),
            row(f"{what}, GGUF", found["resect merge, GGUF"], "llama-export-lora", found["llama-export-lora"], 0.2),
            row(f"{what}, mlx", found["resect merge, mlx"], "mlx_lm.fuse", found["mlx_lm.fuse"], 0.3)]
