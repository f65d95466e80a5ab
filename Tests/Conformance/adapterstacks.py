"""Adapters for folders that hold all experts of a layer in one tensor: [experts, outputs, inputs] as transformers 5 has them in memory,
[experts, inputs, outputs] as Qwen3-VL is published, and stacks of mlx-lm. PEFT's merge is the reference everywhere."""

import shutil

import torch
import transformers
from safetensors.torch import load_file, save_file

import adaptermodels
import hostile
import smallmodels
import tensorfiles
from adapterexperts import NAMES, apart
from adapterkinds import ATTENTION, EXPERTS, Kind
from tools import resect

DTYPES = (("bf16", torch.bfloat16), ("f32", torch.float32))


def check(checks, bases, work):
    for name in (*NAMES, "qwen2 moe", "olmoe"):
        with checks.section(f"experts together, {name}"):
            together(checks, f"experts together, {name}", bases, name, work / name.replace(" ", "-"))
    with checks.section("experts as Qwen3-VL is published"):
        published(checks, "experts as Qwen3-VL is published", work / "published")


def together(checks, label, bases, name, work):
    """Merged with PEFT's bits, from every form of the adapter; and with such a base adapters are converted as with any."""
    work.mkdir()
    kind = Kind(name, dict(target_modules=ATTENTION, target_parameters=EXPERTS, lora_alpha=4))
    adapter = adaptermodels.adapter(bases.load(name), kind.lora(), work / "peft")
    said, model = adaptermodels.applied(bases.load(name), adapter)
    merged = {key: tensor.float() for key, tensor in model.state_dict().items()}
    base, stacked, split, file = bases.path(name), work / "stacked", work / "split", work / "x.gguf"
    bases.load(name).bfloat16().save_pretrained(stacked, save_original_format=False)
    tensors = load_file(stacked / "model.safetensors")
    rewritten(stacked, split, mlx_stacks(tensors, base))
    resect("convert", adapter, "-o", file, "--base", base)
    adapters = {"target_parameters": adapter, "a GGUF adapter": file}
    if name in NAMES:
        adapters["a module for each expert"] = apart(adapter, work / "apart", name)
    for form, folder, goal in (("as in memory", stacked, merged), ("stacked by mlx-lm", split, mlx_stacks(merged, base))):
        for what, path in adapters.items():
            for dtype, type in DTYPES:
                resect("merge", folder, "-o", work / "ours", "--adapter", path, "--dtype", dtype, "--force")
                checks.equal(f"{label}, {form}: {what} merged in {dtype}, PEFT's bits",
                             differing(load_file(work / "ours" / "model.safetensors"), goal, type))
            if folder == stacked:
                loads(checks, f"{label}, {form}: {what}", adaptermodels.load(work / "ours", output_loading_info=True), said)
            if path != file:
                resect("convert", path, "-o", work / "y.gguf", "--base", folder, "--force")
                checks.equal(f"{label}, {form}: {what} in GGUF, as from experts apart", tensorfiles.tensor_differences(
                    tensorfiles.gguf_tensors(work / "y.gguf"), tensorfiles.gguf_tensors(file)))
    resect("convert", file, "-o", work / "back", "--base", stacked)
    ours, first = (load_file(path / "adapter_model.safetensors") for path in (work / "back", adapter))
    checks.equal(f"{label}: back from GGUF to the tensors of PEFT", differing(ours, first, torch.float32))
    # What cannot be: transformers has no modules for mlx-lm's stacks, and these families no stacks that are turned.
    rewritten(stacked, work / "turned", turned(tensors))
    for what, command in (
            ("an adapter in a folder for stacks of mlx-lm", ["convert", file, "-o", work / "no", "--base", split]),
            ("a base with its matrices turned", ["merge", work / "turned", "-o", work / "no", "--adapter", adapter])):
        status, _, errors, _ = hostile.run(command)
        named = b"switch_mlp" in errors or b"experts" in errors
        checks.check(f"{label}: {what} is refused by name, and nothing written", status == 2 and named and not (work / "no").exists(),
                     f"status {status}: {errors[-300:]!r}")


def published(checks, label, work):
    """transformers turns the tensors of this family when it loads them, and PEFT is for what it then has."""
    sizes = dict(num_hidden_layers=3, num_experts=4, moe_intermediate_size=24)
    work.mkdir()
    smallmodels.build(transformers.Qwen3VLMoeForConditionalGeneration, dict(text_config=sizes)).bfloat16().save_pretrained(work / "memory")
    rewritten(work / "memory", work / "base", turned(load_file(work / "memory" / "model.safetensors")))

    def load(path):
        return transformers.AutoModelForImageTextToText.from_pretrained(path, dtype=torch.float32, output_loading_info=True)
    for what, parameters in (("both parameters", EXPERTS), ("only down", EXPERTS[1:])):
        adapter, output = (work / f"{folder} {what}" for folder in ("adapter", "ours"))
        kind = Kind("", dict(target_modules=r".*language_model.*(q_proj|v_proj)", target_parameters=parameters, lora_alpha=4))
        adaptermodels.adapter(load(work / "base")[0], kind.lora(), adapter)
        said, model = adaptermodels.applied(load(work / "base")[0], adapter)
        goal = turned({key: tensor.float() for key, tensor in model.state_dict().items()})
        for dtype, type in DTYPES:
            resect("merge", work / "base", "-o", output, "--adapter", adapter, "--dtype", dtype, "--force")
            checks.equal(f"{label}: {what} merged in {dtype}, PEFT's bits", differing(load_file(output / "model.safetensors"), goal, type))
        loads(checks, f"{label}: {what}", load(output), said)


def loads(checks, label, loaded, said):
    model, info = loaded
    checks.equal(f"{label}, loads with no missing or unexpected key", [f"{key} {value}" for key, value in info.items() if value])
    checks.below(f"{label}, logits against base plus adapter, in standard deviations",
                 ((adaptermodels.logits(model) - said).abs().max() / said.std()).item(), 1e-4)


def rewritten(folder, target, tensors):
    """A copy of a folder with other tensors."""
    shutil.copytree(folder, target)
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})


def differing(found, goal, type):
    """The names of tensors that are not those of PEFT, rounded to a type."""
    return sorted(key for key in found.keys() | goal.keys()
                  if key not in found or key not in goal or not torch.equal(found[key], goal[key].to(type)))


def turned(tensors):
    """With the rows and columns of experts' matrices exchanged."""
    return {key: tensor.transpose(1, 2).contiguous() if key.endswith(tuple(EXPERTS)) else tensor for key, tensor in tensors.items()}


def mlx_stacks(tensors, base):
    """Under the names of the files, with a stack for gate, up and down, as mlx-lm has them."""
    block = "block_sparse_moe" if any(".block_sparse_moe." in key for key in load_file(base / "model.safetensors")) else "mlp"
    result = {}
    for key, tensor in tensors.items():
        key = key.replace(".mlp.", f".{block}.")
        stem = key.replace(".experts.", ".switch_mlp.") + ".weight"
        if key.endswith("gate_up_proj"):
            for part, half in zip(("gate_proj", "up_proj"), tensor.chunk(2, 1)):
                result[stem.replace("gate_up_proj", part)] = half.contiguous()
        else:
            result[stem if key.endswith("experts.down_proj") else key] = tensor
    return result
