"""Adapters and cuts: `cut` of an adapter renumbers what it is for, so that merging and cutting may come in either order."""

import json

import torch
from safetensors.torch import load_file

import adaptermodels
import tensorfiles
from adapterkinds import Kind
from tools import resect

LAYER = 1  # the layer of three that is cut
KINDS = {
    "all linear": Kind("llama", dict(target_modules="all-linear")),
    "layers and patterns": Kind("llama", dict(
        target_modules=["q_proj", "down_proj"], layers_to_transform=[0, 2], rank_pattern={"model.layers.2.mlp.down_proj": 2},
        alpha_pattern={"layers.0.self_attn.q_proj": 3})),
    "embedding": Kind("llama, tied", dict(target_modules=["q_proj", "embed_tokens"])),
    "DoRA": Kind("qwen3", dict(target_modules="all-linear", use_dora=True)),
    "experts": Kind("mixtral", dict(target_modules=["q_proj"], target_parameters=["experts.gate_up_proj", "experts.down_proj"])),
}


def check(checks, bases, work):
    for number, (label, kind) in enumerate(KINDS.items()):
        with checks.section(f"merge and cut, {label}"):
            either(checks, f"merge and cut, {label} ({kind.model})", kind, bases, work, number)


def either(checks, label, kind, bases, work, number):
    base, path = bases.path(kind.model), work / str(number)
    path.mkdir()
    adapter, cut, merged, both, small, other = (path / name for name in ("adapter", "cut", "merged", "both", "small", "other"))
    adaptermodels.adapter(bases.load(kind.model), kind.lora(), adapter)
    layers = f"{LAYER}:{LAYER + 1}"
    resect("merge", base, "-o", merged, "--adapter", adapter)
    resect("cut", merged, "-o", both, "--layers", layers)
    resect("cut", base, "-o", cut, "--layers", layers)
    resect("cut", adapter, "-o", small, "--layers", layers)
    resect("merge", cut, "-o", other, "--adapter", small)
    checks.equal(f"{label}: merged, then cut, is cut, then merged", tensorfiles.tensor_differences(
        tensorfiles.safetensors_tensors(other), tensorfiles.safetensors_tensors(both)))
    checks.equal(f"{label}: the tensors of the cut adapter are those of the adapter, renumbered", tensorfiles.tensor_differences(
        tensorfiles.safetensors_tensors(small), tensorfiles.without_layers(tensorfiles.safetensors_tensors(adapter), LAYER, LAYER + 1)))
    said, model = adaptermodels.applied(adaptermodels.load(cut), small)
    merged = adaptermodels.tensors(model, path / "peft", torch.bfloat16)
    if kind.model == "llama, tied":
        return  # PEFT adds to the output matrix, too
    ours = load_file(other / "model.safetensors")
    apart = max((ours[name].float() - merged[name].float()).abs().max().item() for name in merged)
    checks.below(f"{label}: PEFT reads the cut adapter and merges the same, largest difference", apart, 2**-8)
    checks.equal(f"{label}: the cut adapter is for the layers that are left", [
        str(i) for i in json.loads((small / "adapter_config.json").read_text())["layers_to_transform"] or [] if not 0 <= i < 2])
