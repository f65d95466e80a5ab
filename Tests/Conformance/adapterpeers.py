"""`merge` of GGUF adapters against llama-export-lora, and of mlx-lm's adapters against mlx_lm.fuse.

Both add up in an order of their own, so that values may be neighbours. llama-export-lora writes f16 where the base is not f32."""

import contextlib
import io
import json
import shutil
import sys
import warnings

import numpy as np
import torch
from peft import LoraConfig
from safetensors.torch import load_file, save_file

import adaptermodels
import tensorfiles
from models import gguf_path
from tools import CACHE, FIXTURE, llama, resect, run

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
LINEAR = [*ATTENTION, "gate_proj", "up_proj", "down_proj"]
# Largest difference relative to the largest value of the tensor.
APART = {"F32": 1e-6, "F16": 2**-10}
GGUF_ADAPTERS = {
    "all linear": dict(r=8, lora_alpha=12, target_modules=LINEAR),
    "attention": dict(r=3, lora_alpha=6, target_modules=ATTENTION),
    "attention and embedding": dict(r=4, lora_alpha=6, target_modules=[*ATTENTION, "embed_tokens"]),
}


def check(checks, work):
    with checks.section("merge of GGUF adapters"):
        gguf_adapters(checks, work)
    with checks.section("merge of mlx adapters"):
        mlx_adapters(checks, work)


def gguf_adapters(checks, work):
    paths, folders = {}, {}
    for seed, (label, config) in enumerate(GGUF_ADAPTERS.items()):
        folders[label] = adaptermodels.adapter(adaptermodels.load(FIXTURE), LoraConfig(init_lora_weights=False, **config),
                                               work / f"lora{seed}", seed)
        paths[label] = work / f"lora{seed}.gguf"
        run([sys.executable, CACHE / "llama.cpp" / "convert_lora_to_gguf.py", "--base", FIXTURE, "--outtype", "f32",
             "--outfile", paths[label], folders[label]])
    for base, dtype in (("f32", "f32"), ("f16", "f16")):
        for label, path in paths.items():
            exported(checks, f"merge, GGUF adapter, {label}, {base}", work, gguf_path("fixture", base), dtype, {path: 1})
        exported(checks, f"merge, GGUF adapter, half of it, {base}", work, gguf_path("fixture", base), dtype, {paths["all linear"]: 0.5})
    both = work / "lora3.gguf"
    shutil.copyfile(paths["attention"], both)
    exported(checks, "merge, two GGUF adapters with weights", work, gguf_path("fixture", "f32"), "f32",
             {paths["attention"]: 0.75, both: -0.25})
    for label, base in (("all linear", FIXTURE), ("attention", gguf_path("fixture", "f32"))):
        with checks.section(f"convert an adapter, {label}"):
            converted, back = work / "converted.gguf", work / f"back-{label.split()[0]}"
            resect("convert", folders[label], "-o", converted, "--base", base, "--force")
            checks.equal(f"convert an adapter, {label}: the tensors of llama.cpp's converter", tensorfiles.tensor_differences(
                tensorfiles.gguf_tensors(converted), tensorfiles.gguf_tensors(paths[label])))
            resect("convert", paths[label], "-o", back, "--base", base)
            ours, theirs = (load_file(folder / "adapter_model.safetensors") for folder in (back, folders[label]))
            checks.equal(f"convert an adapter, {label}: back to the tensors of PEFT", sorted(
                name for name in ours.keys() | theirs.keys() if name not in ours or name not in theirs
                or not torch.equal(ours[name], theirs[name])))
    label = "all linear"
    for name, base, adapter in (("PEFT's adapter on a GGUF model", gguf_path("fixture", "f32"), folders[label]),
                                ("a GGUF adapter on a folder", FIXTURE, paths[label]), ("a folder to GGUF", FIXTURE, folders[label])):
        with checks.section(f"merge, {name}"):
            first, second = work / "first.gguf", work / "second.gguf"
            resect("merge", base, "-o", first, "--adapter", adapter, "--dtype", "f32", "--force")
            resect("merge", gguf_path("fixture", "f32"), "-o", second, "--adapter", paths[label], "--dtype", "f32", "--force")
            checks.equal(f"merge, {name}: the tensors of a GGUF adapter on a GGUF model", tensorfiles.tensor_differences(
                tensorfiles.gguf_tensors(first), tensorfiles.gguf_tensors(second)))


def exported(checks, label, work, base, dtype, adapters):
    """One merge of both programs, tensor by tensor."""
    with checks.section(label):
        ours, theirs = work / "ours.gguf", work / "theirs.gguf"
        scaled = ",".join(f"{path}:{weight}" for path, weight in adapters.items())
        llama("llama-export-lora", "-m", base, "--lora-scaled", scaled, "-o", theirs)
        options = [word for path, weight in adapters.items() for word in ("--adapter", f"{path}={weight}")]
        resect("merge", base, "-o", ours, *options, "--dtype", dtype, "--force")
        merged, source = values(ours), values(base)
        if "output.weight" in merged and "output.weight" not in source:
            # llama-export-lora adds what is for the embedding to the output matrix of a tied model, too. The training did not.
            checks.check(f"{label}: the output matrix stays as it was", torch.equal(merged.pop("output.weight"), source["token_embd.weight"]))
        near(checks, label, merged, values(theirs), APART[dtype.upper()])


def values(path):
    return {name: torch.from_numpy(np.array(tensor)) for name, _, tensor in tensorfiles.gguf_values(path)}


def near(checks, label, ours, theirs, limit):
    checks.equal(f"{label}: the peer's tensors", sorted(ours.keys() ^ theirs.keys()))
    furthest = max(((ours[name].float() - theirs[name].float()).abs().max() / theirs[name].float().abs().max()).item()
                   if ours[name].shape == theirs[name].shape else float("inf") for name in ours.keys() & theirs.keys())
    checks.check(f"{label}: the peer's values", furthest <= limit, f"{furthest:.2g} of a tensor's largest apart (within {limit:.2g})")


class Mlx:
    """An adapter of mlx-lm with random values: `m` for DoRA, one matrix an expert for a mixture."""

    def __init__(self, base, kind="lora", layers=-1, rank=4, scale=1.7, keys=None):
        self.base, self.kind = base, kind
        self.config = dict(fine_tune_type=kind, num_layers=layers, lora_parameters=dict(rank=rank, scale=scale, dropout=0.0)
                           | ({"keys": keys} if keys else {}), model="/nowhere")
        self.rank, self.tensors = rank, {}

    def linear(self, module, name=None):
        out, width = self.base[name or f"{module}.weight"].shape
        if module.endswith("embed_tokens"):
            out, width = width, out
        self.tensors |= {f"{module}.lora_a": 0.1 * torch.randn(width, self.rank), f"{module}.lora_b": 0.1 * torch.randn(self.rank, out)}
        if self.kind == "dora":
            self.tensors[f"{module}.m"] = self.base[f"{module}.weight"].norm(dim=1) * (0.8 + 0.4 * torch.rand(out))

    def experts(self, module, count, name):
        out, width = self.base[name].shape
        self.tensors |= {f"{module}.lora_a": 0.1 * torch.randn(count, self.rank, width),
                         f"{module}.lora_b": 0.1 * torch.randn(count, out, self.rank)}

    def save(self, path):
        path.mkdir()
        save_file(self.tensors, path / "adapters.safetensors", metadata={"format": "mlx"})
        (path / "adapter_config.json").write_text(json.dumps(self.config, indent=4))
        return path


def dense(base, kind="lora", layers=12, modules=("self_attn.q_proj", "self_attn.v_proj", "mlp.down_proj"), root=(), **options):
    adapter = Mlx(base, kind, layers, keys=[*modules, *root], **options)
    for layer in range(12 - (layers if layers > 0 else 12), 12):
        for module in modules:
            adapter.linear(f"model.layers.{layer}.{module}")
    for module in root:
        adapter.linear(module)
    return adapter


def mlx_adapters(checks, work):
    torch.manual_seed(5)
    folder = work / "mlx-base"
    resect("convert", FIXTURE, "-o", folder, "--dtype", "f32")
    base = load_file(folder / "model.safetensors")
    everything = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj",
                  "mlp.down_proj")
    all_keys = dense(base, layers=2, modules=everything)
    del all_keys.config["lora_parameters"]["keys"]
    whole = dense(base, kind="full", layers=1, modules=())
    whole.tensors = {name: tensor + 0.01 * torch.randn_like(tensor) for name, tensor in base.items()
                     if name.startswith("model.layers.11.")}
    for number, (label, adapter) in enumerate({
            "some modules of all layers": dense(base), "the last three layers": dense(base, layers=3),
            "all layers as -1": dense(base, layers=-1), "all modules": all_keys, "DoRA": dense(base, kind="dora", layers=4),
            "the embedding": dense(base, root=("model.embed_tokens",), modules=("self_attn.q_proj",)), "whole weights": whole}.items()):
        label = f"merge, mlx adapter, {label}"
        with checks.section(label):
            fused(checks, label, folder, adapter.save(work / f"mlx{number}"), work, lambda tensors: tensors)
    mlx_experts(checks, work)


def mlx_experts(checks, work):
    """A small mixtral, which mlx holds with all experts of a layer in one tensor."""
    label = "merge, mlx adapter, experts"
    with checks.section(label):
        folder, count = work / "mlx-mixtral", 4
        adaptermodels.Bases(work).load("mixtral").float().save_pretrained(folder)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copyfile(FIXTURE / name, folder / name)
        base = load_file(folder / "model.safetensors")
        names = {"gate_proj": "w1", "down_proj": "w2", "up_proj": "w3"}
        adapter = Mlx(base, layers=2, keys=["self_attn.q_proj", *(f"block_sparse_moe.switch_mlp.{name}" for name in names)])
        for layer in (1, 2):
            adapter.linear(f"model.layers.{layer}.self_attn.q_proj")
            for name, stored in names.items():
                block = f"model.layers.{layer}.block_sparse_moe"
                adapter.experts(f"{block}.switch_mlp.{name}", count, f"{block}.experts.0.{stored}.weight")

        def apart(tensors):
            result = {}
            for name, tensor in tensors.items():
                block, found, rest = name.partition(".switch_mlp.")
                result |= {f"{block}.experts.{e}.{names[rest.split('.')[0]]}.weight": tensor[e] for e in range(count)} \
                    if found else {name: tensor}
            return result
        fused(checks, label, folder, adapter.save(work / "mlx-experts"), work, apart)


def fused(checks, label, base, adapter, work, renamed):
    from mlx_lm import fuse
    ours, theirs = work / "mlx-ours", work / "mlx-theirs"
    for output in (ours, theirs):
        shutil.rmtree(output, ignore_errors=True)
    before, sys.argv = sys.argv, ["fuse", "--model", str(base), "--adapter-path", str(adapter), "--save-path", str(theirs)]
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            fuse.main()
    finally:
        sys.argv = before
    resect("merge", base, "-o", ours, "--adapter", adapter, "--dtype", "f32")
    near(checks, label, load_file(ours / "model.safetensors"), renamed(load_file(theirs / "model.safetensors")), APART["F32"])
