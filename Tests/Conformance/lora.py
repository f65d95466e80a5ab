"""`heal --method lora`: losses and gradients against PyTorch and PEFT, and adapters that PEFT loads."""

import importlib.util
import json
import pathlib

import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from tools import CALIBRATION, EVALUATION, FIXTURE, ROOT, folder, resect, resect_json

LAYERS, TRAINING = "4:6", ["--steps", 6, "--heal-samples", 8, "--context", 128, "--learning-rate", 2e-3]


def check(checks):
    with checks.section("known answers of trainings"):
        known(checks)
    for method in ("lora", "refit,lora"):
        with folder() as work, checks.section(f"heal --method {method}"):
            adapters(checks, method, pathlib.Path(work))
    with folder() as work, checks.section("heal --method lora, resumed"):
        resumed(checks, pathlib.Path(work))


def script(name):
    """A script of fixtures/ as a module."""
    spec = importlib.util.spec_from_file_location(name.replace("-", "_"), ROOT / "fixtures" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def known(checks):
    """The committed answers, which the unit tests hold resect to, are those of today's PyTorch and PEFT."""
    training = script("make-training")
    expected = json.loads((ROOT / "fixtures" / "training.json").read_text())
    ids, teacher = training.sample()
    for loss in (training.text, training.classes, training.stream):
        found = training.train(loss, ids, teacher)
        worst = max(abs(a / b - 1) for a, b in zip(found, expected[loss.__name__]))
        checks.below(f"{loss.__name__}: 20 losses of the fixture, relative", worst, 1e-4)


@torch.inference_mode()
def logits(model):
    ids = torch.arange(2 * 64).reshape(2, 64) * 13 % 2048
    return model(ids).logits


def load(path):
    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()


def adapters(checks, method, work):
    """An adapter that is written alone, and the same training folded in."""
    options = ["--layers", LAYERS, "--corpus", CALIBRATION, "--corpus", EVALUATION, *TRAINING]
    resect("heal", FIXTURE, *options, "--method", method, "--adapter-only", "-o", work / "adapter")
    said = resect_json("heal", FIXTURE, *options, "--method", method, "-o", work / "healed")
    if method == "lora":
        resect("cut", FIXTURE, "--layers", LAYERS, "-o", work / "cut")
    else:
        resect("heal", FIXTURE, *options[:6], *options[8:12], "--method", "refit", "-o", work / "cut")
    resect("merge", work / "cut", "--adapter", work / "adapter", "-o", work / "merged", "--dtype", "f32")
    by_peft = logits(PeftModel.from_pretrained(load(work / "cut"), work / "adapter"))
    difference = (logits(load(work / "merged")) - by_peft).abs().max() / by_peft.abs().max()
    checks.below(f"{method}: PEFT's logits with the adapter, and those of the merged model, relative", difference.item(), 1e-5)
    base = logits(load(work / "cut"))
    checks.check(f"{method}: the adapter changes the logits", (by_peft - base).abs().max() > 1e-3 * base.abs().max())
    curve = said["training"]["curve"]["held_out"]
    checks.check(f"{method}: the loss on held-out text falls", curve[-1]["loss"] < curve[0]["loss"],
                 f"{curve[0]['loss']:.4f} to {curve[-1]['loss']:.4f}")
    if method == "lora":
        resect("merge", work / "cut", "--adapter", work / "adapter", "-o", work / "rounded")
        a, b = (load_file(work / name / "model.safetensors") for name in ("healed", "rounded"))
        checks.equal("lora: the folded model is the merged one", [key for key in a if not torch.equal(a[key], b[key])])


def resumed(checks, work):
    """The state of a training that was stopped early by its options is refused for another one."""
    options = ["--layers", LAYERS, "--corpus", CALIBRATION, "--method", "lora", "--adapter-only", *TRAINING]
    resect("heal", FIXTURE, *options, "-o", work / "straight")
    resect("heal", FIXTURE, *options, "--resume", "-o", work / "again")
    a, b = ((work / name / "adapter_model.safetensors").read_bytes() for name in ("straight", "again"))
    checks.check("lora: the same bytes with --resume", a == b)
    checks.equal("lora: nothing is left beside the output", sorted(
        path.name for path in work.iterdir() if path.name not in ("straight", "again")))
