"""`merge` straight to a type, from a base in a packed form, and inside `shrink`: the bytes of the same steps one by one, in f32.

What the types themselves hold is compared with their own peers in other parts."""

import json
import subprocess

import torch
from peft import LoraConfig
from safetensors.torch import load_file, save_file

import adaptermodels
import tensorfiles
from tools import CALIBRATION, FIXTURE, RESECT, resect, resect_json

GGUF = ("Q8_0", "Q4_K_M", "IQ4_NL", "Q4_0", "MXFP4_MOE")
FOLDERS = {"W4A16": ("--group-size", 128), "NF4": ("--double-quant",), "FP4": (), "NVFP4": (), "MXFP4": (), "GPTQ": ("--asymmetric",),
           "AWQ": ("--group-size", 64), "MLX4": (), "MLX-MXFP4": (), "MLX-NVFP4": ()}


def check(checks, bases, work):
    survival(checks, bases, work)
    adapter = adaptermodels.adapter(adaptermodels.load(FIXTURE), LoraConfig(
        r=4, lora_alpha=6, target_modules="all-linear", init_lora_weights=False), work / "adapter")
    whole, file, wide = (work / name for name in ("whole", "whole.gguf", "wide"))
    resect("merge", FIXTURE, "-o", whole, "--adapter", adapter, "--dtype", "f32")
    resect("convert", whole, "-o", file)
    resect("convert", FIXTURE, "-o", wide, "--dtype", "f32")
    for type in GGUF:
        with checks.section(f"merge to {type}"):
            first, second = work / "first.gguf", work / "second.gguf"
            resect("merge", FIXTURE, "-o", first, "--adapter", adapter, "--type", type, "--force")
            resect("quantize", file, "-o", second, "--type", type, "--force")
            checks.equal(f"merge to {type}: merged in f32, then quantized", tensorfiles.tensor_differences(
                tensorfiles.gguf_tensors(first), tensorfiles.gguf_tensors(second)))
    for type, options in FOLDERS.items():
        with checks.section(f"merge to {type}"):
            first, second = work / f"first-{type}", work / f"second-{type}"
            # The type of the weights decides about scales, and about the steps of MLX: both begin from F32.
            base = wide if type in ("W4A16", "MLX-MXFP4", "MLX-NVFP4") else FIXTURE
            resect("merge", base, "-o", first, "--adapter", adapter, "--type", type, *options, "--allow-plain")
            resect("quantize", whole, "-o", second, "--type", type, *options, "--allow-plain")
            checks.equal(f"merge to {type}: merged, then quantized", tensorfiles.tensor_differences(
                codes(tensorfiles.safetensors_tensors(first)), codes(tensorfiles.safetensors_tensors(second))))
        with checks.section(f"merge into {type}"):
            base, values, ours, theirs = (work / f"{name}-{type}" for name in ("base", "values", "ours", "theirs"))
            resect("quantize", FIXTURE, "-o", base, "--type", type, *options, "--allow-plain")
            resect("convert", base, "-o", values, "--dtype", "f32")
            resect("merge", base, "-o", ours, "--adapter", adapter, "--dtype", "f32")
            resect("merge", values, "-o", theirs, "--adapter", adapter, "--dtype", "f32")
            checks.equal(f"merge into {type}: taken to f32, then merged", tensorfiles.tensor_differences(
                tensorfiles.safetensors_tensors(ours), tensorfiles.safetensors_tensors(theirs)))
    shrunk(checks, adapter, file, work)


def shrunk(checks, adapter, file, work):
    """`shrink --adapter` in one pass, and its steps: merge, cut, quantize."""
    label = "shrink with an adapter"
    with checks.section(label):
        first, cut, second = work / "shrunk.gguf", work / "cut.gguf", work / "steps.gguf"
        said = resect_json("shrink", FIXTURE, "-o", first, "--adapter", adapter, "--corpus", CALIBRATION, "--heal", "none",
                           "--choose", "loss", "--drop", 2, "--type", "Q8_0", "--samples", 2, "--context", 128,
                           "--evaluation-samples", 2, "--max-perplexity-ratio", 1e9)
        layers = ",".join(said["dropped"])
        resect("cut", file, "-o", cut, "--layers", layers)
        resect("quantize", cut, "-o", second, "--type", "Q8_0")
        checks.equal(f"{label}: the bytes of merge, cut {layers} and quantize", tensorfiles.tensor_differences(
            tensorfiles.gguf_tensors(first), tensorfiles.gguf_tensors(second)))


def survival(checks, bases, work):
    """The share of small changes that is left in bf16, against its definition in torch, and the warning."""
    label = "what is left of a change"
    with checks.section(label):
        base, output = bases.path("llama"), work / "rounded"
        adapter = adaptermodels.adapter(bases.load("llama"), LoraConfig(
            r=4, target_modules=["q_proj"], init_lora_weights=False), work / "small")
        file = adapter / "adapter_model.safetensors"
        save_file({name: tensor * (1e-4 if "lora_B" in name else 1) for name, tensor in load_file(file).items()}, file,
                  metadata={"format": "pt"})
        _, model = adaptermodels.applied(bases.load("llama"), adapter)
        merged, before = adaptermodels.tensors(model, work / "exact", torch.float32), load_file(base / "model.safetensors")
        done = subprocess.run([RESECT, "merge", str(base), "-o", str(output), "--adapter", str(adapter), "--json"],
                              capture_output=True, text=True)
        said = {module["tensor"]: module["surviving"] for module in json.loads(done.stdout)["modules"]}
        wrong = []
        for name, found in said.items():
            old = before[name].double()
            change, left = merged[name].double() - old, merged[name].bfloat16().double() - old
            expected = ((change * left).sum() / (change * change).sum()).item()
            wrong += [] if abs(found - expected) < 1e-6 and expected < 0.5 else [f"{name}: {found}, by definition {expected}"]
        checks.equal(f"{label}: the share of {len(said)} weights, as torch has it", wrong or ([] if said else ["none"]))
        words = f"{len(said)} of {len(said)} changed weights keep less than half"
        checks.check(f"{label}: a warning says so", words in done.stderr, done.stderr.strip()[:200])


def codes(tensors):
    """What is packed: the type of the other weights, which bitsandbytes also states beside each, is that of the base."""
    return {name: tensor for name, tensor in tensors.items() if "quant_state" not in name and tensor[0] not in ("F32", "BF16")
            or name.endswith("absmax")}
