"""`merge` of several adapters with weights against PEFT's add_weighted_adapter."""

import torch
from peft import LoraConfig, PeftModel
from peft.tuners.lora import LoraLayer

import adaptermodels
import merging
from adapterkinds import Kind
from tools import resect

ROUNDS = "PEFT multiplies A by weight and scale first"
# Configurations by name, and combinations: a label, what kind, the adapters with their weights.
CONFIGS = {
    "a": dict(r=4, lora_alpha=6, target_modules=["q_proj", "v_proj", "embed_tokens"]),
    "b": dict(r=4, lora_alpha=10, target_modules=["q_proj", "down_proj"]),
    "c": dict(r=8, lora_alpha=4, target_modules=["q_proj", "v_proj", "embed_tokens"], rank_pattern={"v_proj": 2}),
    "rs": dict(r=4, lora_alpha=6, target_modules=["q_proj", "v_proj"], use_rslora=True),
    "rs2": dict(r=9, lora_alpha=3, target_modules=["q_proj"], use_rslora=True),
}
COMBINATIONS = [
    ("one with a weight", "linear", {"a": 0.5}),
    ("two, linear", "linear", {"a": 0.7, "b": 0.3}),
    ("two with a negative weight, linear", "linear", {"a": 0.7, "b": -0.3}),
    ("two concatenated", "cat", {"a": 0.7, "b": 0.3}),
    ("three of several ranks, concatenated", "cat", {"a": 0.7, "b": 1.5, "c": -0.4}),
    ("rsLoRA, concatenated", "cat", {"rs": 0.7, "rs2": 0.3}),
    ("rsLoRA and not, linear", "linear", {"a": 0.5, "rs": 0.25}),
]


def check(checks, bases, work):
    paths = {name: adaptermodels.adapter(bases.load("llama"), LoraConfig(init_lora_weights=False, **config), work / name, seed)
             for seed, (name, config) in enumerate(CONFIGS.items())}
    for number, (label, combination, weights) in enumerate(COMBINATIONS):
        label = f"merge, {label}"
        with checks.section(label):
            said, merged = reference(bases, paths, combination, weights, work / f"merged{number}")
            options = [word for name, weight in weights.items() for word in ("--adapter", f"{paths[name]}={weight}")]
            for dtype, form in merging.DTYPES.items():
                output = work / f"{number}-{dtype}"
                resect("merge", bases.path("llama"), "-o", output, *options, "--combination", combination, "--dtype", dtype)
                merging.compare(checks, label, Kind("llama", {}, rounds=ROUNDS), output, merged, dtype, form)
            merging.loads(checks, label, output, said)
    taken_out(checks, bases, paths["b"], work)


def reference(bases, paths, combination, weights, work):
    """PEFT's combination. It keeps rsLoRA for the new adapter, whose scale is one already: this is put right here."""
    first, *others = weights
    model = PeftModel.from_pretrained(bases.load("llama"), paths[first], adapter_name=first)
    for name in others:
        model.load_adapter(paths[name], adapter_name=name)
    model.add_weighted_adapter(list(weights), list(weights.values()), "new", combination_type=combination)
    for module in model.modules():
        if isinstance(module, LoraLayer) and "new" in module.scaling:
            module.scaling["new"] = 1.0
    model.set_adapter("new")
    said = adaptermodels.logits(model)
    return said, adaptermodels.tensors(model.merge_and_unload(), work, torch.float32)


def taken_out(checks, bases, path, work):
    """An adapter that was merged is taken out again by its negative weight."""
    with checks.section("merge, taken out again"):
        resect("merge", bases.path("llama"), "-o", work / "with", "--adapter", path, "--dtype", "f32")
        resect("merge", work / "with", "-o", work / "again", "--adapter", f"{path}=-1", "--dtype", "f32")
        expected = adaptermodels.tensors(bases.load("llama"), work / "base", torch.float32)
        merging.compare(checks, "merge, taken out again", Kind("llama", {}, rounds="one rounding more"), work / "again", expected,
                        "f32", torch.float32)
