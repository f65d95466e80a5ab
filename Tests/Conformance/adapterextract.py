"""`extract` of an adapter from a model before and after a training: against numpy's singular values, and read by PEFT."""

import numpy as np
import torch
from safetensors.torch import load_file

import adaptermodels
from adapterkinds import Kind
from tools import resect, resect_json

LOW_RANK = {"llama": "all-linear", "qwen3": "all-linear", "gpt2": ["c_attn", "c_fc", "c_proj"], "mixtral": ["q_proj", "o_proj"]}
RANK, ENERGY = 8, 0.9


def check(checks, bases, work):
    for name, modules in LOW_RANK.items():
        with checks.section(f"extract, {name}"):
            low_rank(checks, f"extract, {name}", bases, name, modules, work / name)
    with checks.section("extract of a full difference"):
        full(checks, bases, work / "full")


def low_rank(checks, label, bases, name, modules, work):
    """What an adapter of rank 4 did comes back from rank 4."""
    work.mkdir()
    adapter = adaptermodels.adapter(bases.load(name), Kind(name, dict(target_modules=modules)).lora(), work / "adapter")
    _, model = adaptermodels.applied(bases.load(name), adapter)
    expected = adaptermodels.tensors(model, work / "tuned", torch.float32)
    resect("extract", bases.path(name), work / "tuned", "-o", work / "out", "--rank", 4)
    _, back = adaptermodels.applied(bases.load(name), work / "out")
    found = adaptermodels.tensors(back, work / "back", torch.float32)
    checks.below(f"{label}: PEFT merges the adapter to the tuned model, largest difference of a weight, relative",
                 max(relative(found[key], expected[key]) for key in expected), 1e-4)


def relative(found, expected):
    return ((found - expected).abs().max() / expected.abs().max()).item()


def full(checks, bases, work):
    """Differences of full rank in matrices, and in what has no low-rank form: the best of each rank, and whole tensors."""
    work.mkdir()
    torch.manual_seed(11)
    model = bases.load("llama")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "layers.2" not in name:
                weight.add_(0.05 * torch.randn_like(weight))
    model.save_pretrained(work / "tuned")
    after = model.state_dict()
    said = resect_json("extract", bases.path("llama"), work / "tuned", "-o", work / "out", "--rank", RANK)
    wrong, pairs = [], load_file(work / "out" / "adapter_model.safetensors")
    modules = {module["name"].removesuffix(".weight"): module for module in said["modules"]}
    expected = {name.removesuffix(".weight") for name in after if "proj" in name and "layers.2" not in name}
    checks.equal("extract: the matrices that differ have a pair", sorted(expected ^ modules.keys()))
    for name in expected & modules.keys():
        change = (after[f"{name}.weight"] - before[f"{name}.weight"]).double().numpy()
        values = np.linalg.svd(change, compute_uv=False)
        best = (values[RANK:] ** 2).sum()
        a, b = (pairs[f"base_model.model.{name}.lora_{side}.weight"].double().numpy() for side in "AB")
        left = ((change - b @ a) ** 2).sum()
        held = 1 - best / (values ** 2).sum()
        if not (left <= 1.001 * best and abs(modules[name]["held"] - held) < 1e-3 and modules[name]["rank"] == RANK):
            wrong.append(f"{name}: {left:.4g} is left where {best:.4g} would be; says that {modules[name]['held']:.4f} of {held:.4f} is held")
    checks.equal(f"extract: rank {RANK} leaves what numpy's singular values leave, within 0.1 %", wrong)
    _, back = adaptermodels.applied(bases.load("llama"), work / "out")
    checks.equal("extract: what has no low-rank form is stored whole", [
        name for name, tensor in back.state_dict().items() if "proj" not in name and not torch.equal(tensor, after[name])])
    said = resect_json("extract", bases.path("llama"), work / "tuned", "-o", work / "energy", "--energy", ENERGY)
    wrong = []
    for module in said["modules"]:
        name = module["name"].removesuffix(".weight")
        squares = np.linalg.svd((after[f"{name}.weight"] - before[f"{name}.weight"]).double().numpy(), compute_uv=False) ** 2
        smallest = int(np.searchsorted(squares.cumsum(), ENERGY * squares.sum()) + 1)
        wrong += [] if module["rank"] == smallest else [f"{name} has rank {module['rank']}, {smallest} is enough"]
    checks.equal(f"extract: --energy {ENERGY} takes the smallest ranks", wrong)
