"""Adapters of experts (`target_parameters`): to GGUF and back, merged into GGUF models, and taken out of two models by `extract`.

llama.cpp's converter reads adapters whose experts have a module each, so that it gets the same matrices under those names."""

import json
import shutil
import sys

import torch
from safetensors.torch import load_file, save_file

import adaptermodels
import tensorfiles
from adapterkinds import ATTENTION, EXPERTS, Kind
from adapterpeers import APART, near, values
from tools import CACHE, FIXTURE, llama, resect, resect_json, run

# The names of an expert's matrices in files: gate, up, down; and of the block that holds the experts.
NAMES = {"mixtral": (("w1", "w3", "w2"), "block_sparse_moe"), "qwen3 moe": (("gate_proj", "up_proj", "down_proj"), "mlp")}
EXPERT_COUNT = 4


def check(checks, bases, work):
    for name in NAMES:
        with checks.section(f"an adapter of experts, {name}"):
            between(checks, f"an adapter of experts, {name}", bases, name, work / name.replace(" ", "-"))
    for name in (*NAMES, "gpt-oss", "llama4", "llama4, square"):
        with checks.section(f"extract of experts, {name}"):
            extracted(checks, f"extract of experts, {name}", bases, name, work / f"extract-{name.replace(' ', '-')}")


def apart(adapter, target, name):
    """The same adapter with a module for each expert, as transformers 4 had them; gate and up share A."""
    (gate, up, down), block = NAMES[name]
    tensors, result = load_file(adapter / "adapter_model.safetensors"), {}
    for key, tensor in tensors.items():
        if ".experts." not in key:
            result[key] = tensor
        elif key.endswith("lora_A.weight"):
            other = tensors[key.replace("lora_A", "lora_B")]
            stem = key[:key.index(".experts.")].removesuffix(".mlp") + f".{block}.experts"
            a = tensor.reshape(EXPERT_COUNT, -1, tensor.shape[1])
            b = other.reshape(other.shape[0], -1, EXPERT_COUNT)
            parts = ((down, b),) if ".base_layer." not in key else ((gate, b[:len(b) // 2]), (up, b[len(b) // 2:]))
            for part, rows in parts:
                for expert in range(EXPERT_COUNT):
                    module = f"{stem}.{expert}.{part}"
                    result |= {f"{module}.lora_A.weight": a[expert].clone(),
                               f"{module}.lora_B.weight": rows[:, :, expert].contiguous()}
    target.mkdir()
    save_file(result, target / "adapter_model.safetensors", metadata={"format": "pt"})
    config = json.loads((adapter / "adapter_config.json").read_text())
    config |= dict(target_parameters=None, target_modules=[
        *ATTENTION, *(f"experts.{expert}.{part}" for expert in range(EXPERT_COUNT) for part in (gate, up, down))])
    (target / "adapter_config.json").write_text(json.dumps(config))
    return target


def between(checks, label, bases, name, work):
    work.mkdir()
    kind = Kind(name, dict(target_modules=ATTENTION, target_parameters=EXPERTS, lora_alpha=4))
    adapter = adaptermodels.adapter(bases.load(name), kind.lora(), work / "peft")
    base, file, theirs, back = bases.path(name), work / "x.gguf", work / "theirs.gguf", work / "back"
    resect("convert", adapter, "-o", file, "--base", base)
    run([sys.executable, CACHE / "llama.cpp" / "convert_lora_to_gguf.py", "--base", base, "--outtype", "f32", "--outfile", theirs,
         apart(adapter, work / "apart", name)])
    checks.equal(f"{label}: the tensors of llama.cpp's converter", tensorfiles.tensor_differences(
        tensorfiles.gguf_tensors(file), tensorfiles.gguf_tensors(theirs)))
    resect("convert", work / "apart", "-o", work / "apart.gguf", "--base", base)
    checks.equal(f"{label}: the same of a module for each expert", tensorfiles.tensor_differences(
        tensorfiles.gguf_tensors(file), tensorfiles.gguf_tensors(work / "apart.gguf")))
    resect("convert", file, "-o", back, "--base", base)
    ours, first = (load_file(folder / "adapter_model.safetensors") for folder in (back, adapter))
    checks.equal(f"{label}: back to the tensors of PEFT", sorted(
        key for key in ours.keys() | first.keys() if key not in ours or key not in first or not torch.equal(ours[key], first[key])))
    # Another A for gate and for up: PEFT's form has both as ranks of one matrix.
    tensors = load_file(work / "apart" / "adapter_model.safetensors")
    torch.manual_seed(9)
    for key in tensors:
        if f".{NAMES[name][0][1]}.lora_A" in key:
            tensors[key] = 0.2 * torch.randn_like(tensors[key])
    save_file(tensors, work / "apart" / "adapter_model.safetensors", metadata={"format": "pt"})
    resect("convert", work / "apart", "-o", file, "--base", base, "--force")
    resect("convert", file, "-o", back, "--base", base, "--force")
    _, model = adaptermodels.applied(bases.load(name), back)
    expected = adaptermodels.tensors(model, work / "merged", torch.float32)
    resect("merge", base, "-o", work / "ours", "--adapter", work / "apart", "--dtype", "f32")
    near(checks, f"{label}: gate and up apart, back in PEFT", load_file(work / "ours" / "model.safetensors"), expected, APART["F32"])
    if name == "mixtral":  # GGUF cannot say of a qwen3 moe that every other layer is dense
        into_gguf(checks, label, base, adapter, work / "apart", work)


def into_gguf(checks, label, base, adapter, other, work):
    """Merges into a GGUF model: the same bits as into the folder, and what llama-export-lora makes of the converted adapter."""
    folder, model = work / "whole", work / "model.gguf"
    shutil.copytree(base, folder)
    small_tokenizer(folder)
    resect("convert", folder, "-o", model, "--dtype", "f32")
    for number, path in enumerate((adapter, other)):
        merged, ours, file = work / f"merged{number}.gguf", work / f"ours{number}.gguf", work / f"adapter{number}.gguf"
        resect("merge", folder, "-o", merged, "--adapter", path, "--dtype", "f32")
        resect("merge", model, "-o", ours, "--adapter", path, "--dtype", "f32")
        checks.equal(f"{label}: adapter {number} in a GGUF model, the tensors of the folder", tensorfiles.tensor_differences(
            tensorfiles.gguf_tensors(ours), tensorfiles.gguf_tensors(merged)))
        resect("convert", path, "-o", file, "--base", model)
        llama("llama-export-lora", "-m", model, "--lora", file, "-o", work / "exported.gguf")
        near(checks, f"{label}: adapter {number} as llama-export-lora merges it", values(ours), values(work / "exported.gguf"),
             APART["F32"])


def small_tokenizer(folder):
    """The first tokens of the fixture, as many as the model has, without merges."""
    tokenizer = json.loads((FIXTURE / "tokenizer.json").read_text())
    size = json.loads((folder / "config.json").read_text())["vocab_size"]
    tokenizer["model"] |= dict(merges=[], vocab={text: number for text, number in tokenizer["model"]["vocab"].items() if number < size})
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    shutil.copyfile(FIXTURE / "tokenizer_config.json", folder / "tokenizer_config.json")


def extracted(checks, label, bases, name, work):
    """What an adapter of rank 4 did comes back from rank 4, from the tensors that transformers saves and from those in memory."""
    work.mkdir()
    kind = Kind(name, dict(target_modules=["q_proj", "o_proj"], target_parameters=EXPERTS))
    adapter = adaptermodels.adapter(bases.load(name), kind.lora(), work / "adapter")
    _, model = adaptermodels.applied(bases.load(name), adapter)
    expected = adaptermodels.tensors(model, work / "tuned", torch.float32)
    pairs = {"as saved": (bases.path(name), work / "tuned")}
    if name not in ("gpt-oss", "llama4", "llama4, square"):  # which are saved as stacks
        folders = []
        for stage, source in (("base", bases.load(name)), ("tuned", model)):
            folders.append(work / f"stacked-{stage}")
            folders[-1].mkdir()
            save_file({key: tensor.float().contiguous() for key, tensor in source.state_dict().items()},
                      folders[-1] / "model.safetensors", metadata={"format": "pt"})
            shutil.copyfile(bases.path(name) / "config.json", folders[-1] / "config.json")
        pairs["as stacks"] = tuple(folders)
    for form, (before, after) in pairs.items():
        output = work / f"out-{form.split()[1]}"
        said = resect_json("extract", before, after, "-o", output, "--rank", 4)
        stacks = [module for module in said["modules"] if module["name"].endswith(tuple(EXPERTS))]
        checks.check(f"{label}, {form}: every stack is a parameter with rank 4", len(stacks) >= 2 and all(
            module["rank"] == 4 and module["held"] > 0.999 for module in stacks), f"{len(stacks)}")
        _, back = adaptermodels.applied(bases.load(name), output)
        found = adaptermodels.tensors(back, work / f"back-{form.split()[1]}", torch.float32)
        checks.below(f"{label}, {form}: PEFT merges the adapter to the tuned model, largest difference of a weight, relative",
                     max(apart_by(found[key], expected[key]) for key in expected), 1e-4)
        resect("merge", before, "-o", work / f"ours-{form.split()[1]}", "--adapter", output, "--dtype", "f32")
        ours = load_file(work / f"ours-{form.split()[1]}" / "model.safetensors")
        goal = load_file(after / "model.safetensors")
        checks.below(f"{label}, {form}: merge gives the tuned model, largest difference of a weight, relative",
                     max(apart_by(ours[key].float(), goal[key].float()) for key in goal), 1e-4)


def apart_by(found, expected):
    return ((found - expected).abs().max() / expected.abs().max()).item()
