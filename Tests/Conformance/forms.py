"""Packed integers in folders: bytes as compressed-tensors and MLX write them, GPTQ and AWQ against an independent
unpacking; the peers load them; codes and scales move from one form to another; cut, evaluate and GGUF read them."""

import os
import pathlib

import numpy as np

import mlxexperts
import quantizedvision
from models import SMOLLM2_HF
from folderparts import decoded, floats, tensors
from tools import EVALUATION, FIXTURE, folder, generate, resect, resect_json

os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
# SmolLM2's rows of 576 divide into groups of 64.
MODELS = (("smollm2", SMOLLM2_HF, "64"), ("fixture", FIXTURE, "128"))
TYPES = {"W4A16": (), "W4A16 asymmetric": ("--asymmetric",), "GPTQ": (), "GPTQ asymmetric": ("--asymmetric",),
         "GPTQ v2": ("--asymmetric", "--checkpoint-format", "gptq_v2"), "AWQ": (), "MLX4": ()}
FORMS = ("W4A16", "GPTQ", "AWQ", "MLX4")
CONTEXT, SAMPLES = 256, 4


def check(checks):
    for name, source, group in MODELS:
        with folder() as work:
            work = pathlib.Path(work)
            quantized = {}
            few = ("W4A16", "GPTQ v2", "AWQ", "MLX4")
            types = TYPES if name == "fixture" else {title: TYPES[title] for title in few}
            for title, options in types.items():
                quantized[title] = work / title.replace(" ", "-")
                resect("quantize", source, "-o", quantized[title], "--type", title.split()[0], "--group-size", group,
                       "--no-sync", *options)
            plain, codes = tensors(source), {title: decoded(path) for title, path in quantized.items()}
            with checks.section(f"forms {name}: values"):
                values(checks, name, plain, quantized, codes, work)
            with checks.section(f"forms {name}: compressed-tensors"):
                for title in types:
                    if title.startswith("W4A16"):
                        compressed(checks, f"forms {name} {title}", plain, quantized[title], int(group))
            with checks.section(f"forms {name}: MLX"):
                mlx(checks, f"forms {name} MLX4", plain, quantized["MLX4"], int(group))
            with checks.section(f"forms {name}: transfers"):
                transfers(checks, name, quantized, codes, work)
            if name == "fixture":
                with checks.section(f"forms {name}: cut"):
                    cut(checks, name, quantized, work)
            if name == "smollm2":
                with checks.section("forms smollm2: loaded"):
                    loaded(checks, source, quantized, work)
    with checks.section("forms llava: loaded"):
        quantizedvision.check(checks)
    mlxexperts.check(checks)


def values(checks, name, plain, quantized, codes, work):
    """What resect unpacks is what an independent unpacking finds, and it is within a step of the plain weights."""
    for title, path in quantized.items():
        output = work / "plain"
        resect("convert", path, "-o", output, "--dtype", "f32", "--force", "--no-sync")
        found = tensors(output)
        checks.equal(f"forms {name} {title}: {len(codes[title])} weights are unpacked by their definition", (
            module for module, (_, _, _, value) in codes[title].items()
            if not np.array_equal(found[module + ".weight"].numpy(), value.astype(np.float32))))
        steps = max(
            float((np.abs(value - floats(plain[module + ".weight"])).max(1) / np.abs(scales).max(1)).max())
            for module, (_, scales, _, value) in codes[title].items())
        checks.below(f"forms {name} {title}: error in steps of the scale", steps, 1.1)


def compressed(checks, label, plain, path, group):
    """Every part is what the package makes of the weight."""
    import torch
    from compressed_tensors.compressors.pack_quantized import PackedQuantizationCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
    from compressed_tensors.quantization.utils.helpers import calculate_qparams
    args = QuantizationArgs(
        num_bits=4, type="int", symmetric="asymmetric" not in label, strategy="group", group_size=group)
    scheme = QuantizationScheme(targets=["Linear"], weights=args)
    found, differing, count = tensors(path), [], 0
    for name in found:
        if not name.endswith(".weight_packed"):
            continue
        module = name[:-len(".weight_packed")]
        weight = plain[module + ".weight"]
        groups = weight.unflatten(-1, (-1, group))
        scale, zero = calculate_qparams(groups.amin(-1), groups.amax(-1), args)
        state = {"weight": weight, "weight_scale": scale, "weight_zero_point": zero.to(torch.int8)}
        for part, wanted in PackedQuantizationCompressor.compress(state, scheme).items():
            ours = found[f"{module}.{part}"]
            count += 1
            if ours.dtype != wanted.dtype or not torch.equal(ours, wanted):
                differing.append(f"{module}.{part}")
    checks.equal(f"{label}: {count} parts are equal to the package's", differing)


def mlx(checks, label, plain, path, group):
    """Every part is what mx.quantize makes of the weight on the CPU, in the three types of weights."""
    import mlx.core as mx
    found, differing = tensors(path), []
    modules = [name[:-len(".scales")] for name in found if name.endswith(".scales")]
    for module in modules:
        weight = mx.array(floats(plain[module + ".weight"]).astype(np.float32)).astype(mx.bfloat16)
        with mx.stream(mx.cpu):
            parts = mx.quantize(weight, group_size=group, bits=4)
            mx.eval(*parts)
        for part, wanted in zip(("weight", "scales", "biases"), parts):
            ours = found[f"{module}.{part}"]
            equal = np.array_equal(ours.numpy().view(np.uint32), np.array(wanted)) if part == "weight" else \
                np.array_equal(floats(ours), np.array(wanted.astype(mx.float32)))
            if not equal:
                differing.append(f"{module}.{part}")
    checks.equal(f"{label}: {3 * len(modules)} parts are equal to mx.quantize's", differing)


def transfers(checks, name, quantized, codes, work):
    """Codes and values are the same in the other form, and resect says that they are."""
    # Each form to each on the small model, each to the next on the larger one.
    ways = {title: FORMS for title in ("W4A16", "GPTQ v2", "AWQ", "MLX4")} if name == "fixture" else \
        {"W4A16": ("AWQ",), "AWQ": ("MLX4",), "GPTQ v2": ("W4A16",), "MLX4": ("GPTQ",)}
    for title, targets in ways.items():
        for target in targets:
            output = work / "transferred"
            version = ("--checkpoint-format", "gptq_v2") if target == "GPTQ" else ()
            said = resect_json("quantize", quantized[title], "-o", output, "--type", target, "--force",
                               "--no-sync", "--allow-requantize", *version)
            found = decoded(output)
            same = [module for module, (was, _, _, value) in codes[title].items() if module in found
                    and np.array_equal(found[module][0], was) and np.array_equal(found[module][3], value)]
            label = f"forms {name} {title} to {target}"
            checks.check(f"{label}: as many weights keep codes and values as resect says",
                         len(same) == said.get("exact", 0), f"{len(same)} of {len(found)}")
            if title != "MLX4" or target == "MLX4":
                linears = len(codes["AWQ"])
                checks.check(f"{label}: every Linear is exact", len(same) >= linears, f"{len(same)} of {linears}")
            else:
                worst = max(entry["maxAbs"] for entry in said["rounded"])
                ours = max(
                    float(np.abs(value - codes[title][module][3]).max()) for module, (*_, value) in found.items())
                checks.below(f"{label}: the error that it says, beside the one found", abs(worst / ours - 1), 1e-3)


def cut(checks, name, quantized, work):
    """A cut of the parts is the cut of the weights that they stand for."""
    for title in ("W4A16", "GPTQ", "AWQ", "MLX4"):
        parts, plain = work / "cut-parts", work / "cut-plain"
        resect("cut", quantized[title], "-o", parts, "--layers", "3:6", "--force", "--no-sync")
        resect("convert", parts, "-o", work / "first", "--dtype", "f32", "--force", "--no-sync")
        resect("convert", quantized[title], "-o", plain, "--dtype", "f32", "--force", "--no-sync")
        resect("cut", plain, "-o", work / "second", "--layers", "3:6", "--force", "--no-sync")
        first, second = tensors(work / "first"), tensors(work / "second")
        checks.equal(f"forms {name} {title}: cut and unpacked is unpacked and cut", (
            tensor for tensor in set(first) | set(second)
            if tensor not in first or tensor not in second or not first[tensor].equal(second[tensor])))


def loaded(checks, source, quantized, work):
    """transformers, mlx-lm and llama.cpp load what was written, and compute what resect computes."""
    import torch
    import forward
    ids = forward.chunks(source, EVALUATION, SAMPLES, CONTEXT)
    model = forward.load(quantized["W4A16"])
    found = forward.logits(model, ids)
    half = CONTEXT // 2
    loss = torch.nn.functional.cross_entropy(
        found[:, half:-1].flatten(0, 1).double(), ids[:, half + 1:].flatten()).exp().item()
    ours = resect_json(
        "evaluate", quantized["W4A16"], "--corpus", EVALUATION, "--context", CONTEXT, "--samples", SAMPLES)["perplexity"]
    checks.check("forms smollm2 W4A16: perplexity", abs(ours / loss - 1) < 0.005,
                 f"{ours:.4f}, transformers {loss:.4f} (within 0.5 %)")
    state = {name: tensor for name, tensor in model.state_dict().items() if name.endswith("_proj.weight")}
    resect("convert", quantized["W4A16"], "-o", work / "plain", "--dtype", "f32", "--force", "--no-sync")
    plain = tensors(work / "plain")
    checks.equal(f"forms smollm2 W4A16: {len(state)} weights are those that transformers unpacks", (
        name for name, tensor in state.items() if not torch.equal(tensor.float(), plain[name])))
    checks.check("forms smollm2 W4A16: transformers has unpacked them", len(state) == 210, len(state))

    import mlx.core as mx
    from mlx_lm import generate as mlx_generate, load as mlx_load
    mx.set_default_device(mx.cpu)
    network, tokenizer = mlx_load(str(quantized["MLX4"]))
    said = mlx_generate(network, tokenizer, prompt="The capital of France is", max_tokens=8, verbose=False)
    checks.check("forms smollm2 MLX4: mlx-lm loads it and answers", "Paris" in said, repr(said))
    exact = work / "mlx-exact"
    resect("quantize", quantized["AWQ"], "-o", exact, "--type", "MLX4")
    network, tokenizer = mlx_load(str(exact))
    said = mlx_generate(network, tokenizer, prompt="The capital of France is", max_tokens=8, verbose=False)
    checks.check("forms smollm2 AWQ to MLX4: mlx-lm loads it and answers", "Paris" in said, repr(said))

    for title, kind in (("AWQ", "Q4_0"), ("W4A16", "Q8_0")):
        output = work / "model.gguf"
        resect("quantize", quantized[title], "-o", output, "--type", kind, "--force", "--allow-requantize")
        said = generate(output, "The capital of France is", 8)
        checks.check(
            f"forms smollm2 {title} to GGUF {kind}: llama.cpp loads it and answers", "Paris" in said, repr(said))
