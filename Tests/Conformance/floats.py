"""Forms whose codes are floats: bytes as bitsandbytes and compressed-tensors write them, folders that transformers
loads, values as the peers dequantize them, and codes that move between folders and GGUF bit for bit."""

import json
import os
import pathlib
import re

import numpy as np

from models import SMOLLM2_HF
from tools import EVALUATION, THREADS, folder, generate, llama, resect, resect_json

os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
LINEARS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
FUSED = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
BNB = [("NF4", False, 64), ("NF4", True, 64), ("FP4", False, 128), ("FP4", True, 32)]


def check(checks):
    import torch
    torch.set_num_threads(1)  # the mean of a long run depends on them
    plain = tensors(SMOLLM2_HF)
    weights = {name: w for name, w in plain.items() if name.split(".")[-2] in LINEARS}
    with folder() as work:
        work = pathlib.Path(work)
        for kind, double, block in BNB:
            with checks.section(f"floats: {kind}{' double' if double else ''}"):
                # The peer takes its time: all layers in NF4, some in FP4.
                some = {n: w for n, w in weights.items() if kind == "NF4" or ".layers.2" in n}
                bitsandbytes(checks, some, kind, double, block, work)
        with checks.section("floats: NF4 of f16 and f32"):
            other_types(checks, work)
        with checks.section("floats: NF4 in transformers"):
            loaded(checks, work / "NF4-True", work, "NF4 double")
        for kind in ("NVFP4", "MXFP4"):
            with checks.section(f"floats: {kind}"):
                compressed(checks, weights, kind, work)
            with checks.section(f"floats: {kind} in GGUF"):
                blocks(checks, kind, work)
        for kind in ("MLX-NVFP4", "MLX-MXFP4"):
            with checks.section(f"floats: {kind}"):
                mlx(checks, plain, kind, work)
        with checks.section("floats: FP8"):
            fp8(checks, weights, work)


def tensors(path):
    """All tensors of a folder, by name."""
    from safetensors.torch import load_file
    return {k: v for file in sorted(pathlib.Path(path).glob("*.safetensors")) for k, v in load_file(file).items()}


def differing(found, wanted):
    """The names of tensors that differ in type, shape or bytes."""
    import torch
    as_bytes = lambda t: t.contiguous().reshape(-1).view(torch.uint8)
    for name in sorted(set(found) | set(wanted)):
        a, b = found.get(name), wanted.get(name)
        if a is None or b is None:
            yield f"{name} is missing"
        elif a.dtype != b.dtype or a.shape != b.shape or not torch.equal(as_bytes(a), as_bytes(b)):
            yield name


def of_modules(found, modules):
    """The parts of some modules."""
    prefixes = tuple(m.removesuffix("weight") for m in modules)
    return {k: v for k, v in found.items() if k.startswith(prefixes)}


def quantized_by_bnb(weights, kind, double, block):
    from bitsandbytes import functional
    result = {}
    for name, w in weights.items():
        packed, state = functional.quantize_4bit(w, quant_type=kind, compress_statistics=double, blocksize=block)
        result[name] = packed
        result |= {f"{name}.{k}": v for k, v in state.as_dict(packed=True).items()}
    return result


def bitsandbytes(checks, weights, kind, double, block, work):
    out = work / f"{kind}-{double}"
    resect("quantize", SMOLLM2_HF, "-o", out, "--type", kind, "--block-size", block,
           *(["--double-quant"] if double else []))
    found = tensors(out)
    wanted = quantized_by_bnb(weights, kind.lower(), double, block)
    name = f"{kind}, blocks of {block}{', double' if double else ''}"
    checks.equal(f"floats: {name}: {len(wanted)} tensors as bitsandbytes",
                 differing(of_modules(found, weights), wanted))


def other_types(checks, work):
    for dtype in ("f16", "f32"):
        resect("convert", SMOLLM2_HF, "-o", work / dtype, "--dtype", dtype)
        resect("quantize", work / dtype, "-o", work / f"{dtype}-nf4", "--type", "NF4", "--double-quant")
        weights = {k: v for k, v in tensors(work / dtype).items() if ".1" in k and k.split(".")[-2] in LINEARS}
        checks.equal(f"floats: NF4 of {dtype} as bitsandbytes",
                     differing(of_modules(tensors(work / f"{dtype}-nf4"), weights),
                               quantized_by_bnb(weights, "nf4", True, 64)))


def loaded(checks, path, work, name):
    """transformers loads a folder, and its weights, dequantized by the peer, are those that resect gives."""
    import torch
    from bitsandbytes import functional
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.bfloat16)
    resect("convert", path, "-o", work / "plain", "--dtype", "bf16")
    plain = tensors(work / "plain")
    wrong, count = [], 0
    for module, layer in model.named_modules():
        if type(layer).__name__ == "Linear4bit":
            count += 1
            values = functional.dequantize_4bit(layer.weight.data, layer.weight.quant_state)
            if not torch.equal(values.bfloat16(), plain[module + ".weight"]):
                wrong.append(module)
    checks.equal(f"floats: {name}: transformers has the values of {count} layers", wrong or ([] if count else ["none"]))
    settings = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
                                  bnb_4bit_compute_dtype=torch.bfloat16)
    own = AutoModelForCausalLM.from_pretrained(SMOLLM2_HF, dtype=torch.bfloat16, quantization_config=settings)
    own.save_pretrained(work / "own")
    saved = tensors(work / "own")
    checks.equal(f"floats: {name}: transformers saves the same tensors", differing(tensors(path), saved))
    configs = [json.loads((p / "config.json").read_text())["quantization_config"] for p in (path, work / "own")]
    checks.equal(f"floats: {name}: and the same configuration",
                 [k for k in configs[0] | configs[1] if configs[0].get(k, "-") != configs[1].get(k, "-")])
    text = torch.tensor([[1, 504, 3575, 282, 4649, 314, 260]])
    with torch.no_grad():
        difference = (model(text).logits - own(text).logits).abs().max().item()
    checks.check(f"floats: {name}: and the same logits", difference == 0, f"{difference}")


def compressed(checks, weights, kind, work):
    """compressed-tensors' own functions on the weights in f32, and its reading of the folder."""
    import torch
    from compressed_tensors.compressors.mxfp4.base import MXFP4PackedCompressor
    from compressed_tensors.compressors.nvfp4.base import NVFP4PackedCompressor
    from compressed_tensors.quantization import QuantizationScheme
    from compressed_tensors.quantization.quant_scheme import MXFP4A16, NVFP4A16
    from compressed_tensors.quantization.utils import calculate_qparams, generate_gparam
    out = work / kind
    resect("quantize", SMOLLM2_HF, "-o", out, "--type", kind)
    found = tensors(out)
    preset, compressor = {"NVFP4": (NVFP4A16, NVFP4PackedCompressor), "MXFP4": (MXFP4A16, MXFP4PackedCompressor)}[kind]
    scheme = QuantizationScheme(targets=["Linear"], **preset)
    size = scheme.weights.group_size
    wanted = {}
    for name, w in weights.items():
        module, w = name.removesuffix(".weight"), w.float()
        state, shared = {"weight": w}, None
        if kind == "NVFP4":
            prefix, _, own = module.rpartition(".")
            names = next((f for f in FUSED if own in f), (own,))
            together = torch.cat([weights[f"{prefix}.{n}.weight"].float().flatten() for n in names])
            shared = state["weight_global_scale"] = generate_gparam(together.min(), together.max())
        low, high = w.unflatten(1, (-1, size)).aminmax(dim=2)
        state["weight_scale"] = calculate_qparams(low, high, scheme.weights, global_scale=shared)[0]
        wanted |= {f"{module}.{k}": v for k, v in compressor.compress(state, scheme).items()}
    checks.equal(f"floats: {kind}: {len(wanted)} tensors as compressed-tensors",
                 differing(of_modules(found, weights), wanted))
    from transformers import AutoModelForCausalLM, CompressedTensorsConfig
    resect("convert", out, "-o", work / f"{kind}-plain", "--dtype", "bf16")
    plain = tensors(work / f"{kind}-plain")
    model = AutoModelForCausalLM.from_pretrained(out, dtype=torch.bfloat16,
                                                 quantization_config=CompressedTensorsConfig(run_compressed=False))
    state = model.state_dict()
    checks.equal(f"floats: {kind}: transformers has the same values",
                 [n for n in weights if not torch.equal(state[n].bfloat16(), plain[n])])


def blocks(checks, kind, work):
    """GGUF's blocks hold the same codes and scales, llama.cpp runs them, and they come back."""
    import torch
    from gguf import GGUFReader
    from gguf.quants import dequantize
    path = work / f"{kind}.gguf"
    resect("convert", work / kind, "-o", path)
    resect("convert", work / kind, "-o", work / f"{kind}-f32.gguf", "--dtype", "f32")
    factors, values = {}, {}
    for tensor in GGUFReader(path).tensors:
        if tensor.name.endswith(".scale"):
            factors[tensor.name.removesuffix("scale")] = tensor.data[0]
        elif tensor.tensor_type.name == kind:
            values[tensor.name] = dequantize(tensor.data, tensor.tensor_type)
    plain = {t.name: t.data for t in GGUFReader(work / f"{kind}-f32.gguf").tensors}
    checks.check(f"floats: {kind}: all weights are blocks of GGUF", len(values) == 210, f"{len(values)}")
    # A factor is the inverse of compressed-tensors' divisor, which costs at most the last two bits of f32.
    scaled = {n: v.reshape(plain[n].shape) * factors.get(n.removesuffix("weight"), np.float32(1))
              for n, v in values.items()}
    wrong = [n for n, v in scaled.items() if not np.allclose(v, plain[n], rtol=2.5e-7, atol=0)]
    checks.equal(f"floats: {kind}: gguf-py's values are those of the folder", wrong)
    said = llama("llama-perplexity", "-m", path, "-f", EVALUATION, "-c", 512, "--chunks", 1, "-t", THREADS)
    theirs = float(re.search(r"\[1\]([0-9.]+)", said)[1])
    ours = resect_json("evaluate", work / kind, "--corpus", EVALUATION, "--context", 512, "--samples", 1)["perplexity"]
    # llama.cpp rounds activations to eight bits.
    checks.below(f"floats: {kind}: llama.cpp runs the file; its perplexity, {theirs:.3f}, is off by a share of",
                 abs(theirs / ours - 1), 0.03)
    resect("quantize", path, "-o", work / f"{kind}-back", "--type", kind)
    ends = (".weight_packed", ".weight_scale")
    before, after = ({k: v for k, v in tensors(p).items() if k.endswith(ends)}
                     for p in (work / kind, work / f"{kind}-back"))
    checks.equal(f"floats: {kind}: codes and scales come back from GGUF", differing(after, before))


def mlx(checks, plain, kind, work):
    """mx.quantize on the weights in bf16, the embedding too, and mlx-lm's reading of the folder."""
    import mlx.core as mx
    import torch
    from mlx_lm import load
    out, mode = work / kind, kind.removeprefix("MLX-").lower()
    resect("quantize", SMOLLM2_HF, "-o", out, "--type", kind)
    wanted = {}
    for name, w in plain.items():
        if w.ndim == 2:
            codes, scales = mx.quantize(mx.array(w.view(torch.uint16).numpy()).view(mx.bfloat16), mode=mode)
            wanted[name] = torch.from_numpy(np.array(codes))
            wanted[name.removesuffix("weight") + "scales"] = torch.from_numpy(np.array(scales))
    found = {k: v for k, v in tensors(out).items() if k in wanted}
    checks.equal(f"floats: {kind}: {len(wanted)} tensors as mx.quantize", differing(found, wanted))
    model, _ = load(str(out))
    logits = model(mx.array([[1, 504, 3575, 282, 4649, 314]]))[0, -1]
    checks.check(f"floats: {kind}: mlx-lm runs the folder", bool(mx.isfinite(logits).all()),
                 f"the likeliest next token is {int(mx.argmax(logits))}")


def fp8(checks, weights, work):
    """FP8 in blocks as DeepSeek ships it, made with torch and read by transformers' own code."""
    import torch
    from safetensors.torch import save_file
    from transformers.integrations.finegrained_fp8 import Fp8Dequantize
    block, result, wanted = 64, tensors(SMOLLM2_HF), {}
    for name, w in weights.items():
        grid = w.float().unflatten(1, (-1, block)).unflatten(0, (-1, block))
        scales = grid.abs().amax((1, 3)) / 448
        codes = (grid / scales[:, None, :, None]).to(torch.float8_e4m3fn).flatten(2).flatten(0, 1)
        result[name], result[name + "_scale_inv"] = codes, scales
        wanted[name] = Fp8Dequantize(None)._dequantize_one(codes, scales, torch.float32)
    path = work / "fp8"
    path.mkdir()
    save_file(result, path / "model.safetensors", {"format": "pt"})
    for file in SMOLLM2_HF.iterdir():
        if file.suffix != ".safetensors":
            (path / file.name).write_bytes(file.read_bytes())
    config = json.loads((path / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "fp8", "activation_scheme": "dynamic", "fmt": "e4m3",
                                     "weight_block_size": [block, block]}
    (path / "config.json").write_text(json.dumps(config))
    resect("convert", path, "-o", work / "fp8-plain", "--dtype", "f32")
    found = tensors(work / "fp8-plain")
    checks.equal("floats: FP8 in blocks as transformers reads it", differing({n: found[n] for n in wanted}, wanted))
    resect("quantize", path, "-o", work / "fp8.gguf", "--type", "Q8_0")
    said = generate(work / "fp8.gguf", "The capital of France is", 8)
    checks.check("floats: FP8 to Q8_0 runs in llama.cpp", "Paris" in said, said)
