"""Mixtures of experts as mlx-lm has them, all experts of a layer in one packed tensor: folders that mlx-lm quantized are read,
converted and cut, and those that resect quantizes have mlx-lm's tensors and run there."""

import contextlib
import io
import json
import pathlib
import shutil

import numpy as np
import torch
import transformers

import classes
from folderparts import tensors
from tools import FIXTURE, folder, resect

SIZES = {"vocab_size": 2048, "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
         "max_position_embeddings": 256, "initializer_range": 0.2, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": None}
FEW = {"num_experts": 6, "num_experts_per_tok": 2}
# A class of transformers, its members, and members of config.json that mlx-lm asks for and transformers 5 does not write.
MODELS = {
    "Mixtral": ("MixtralForCausalLM", {"intermediate_size": 128, "num_local_experts": 4, "num_experts_per_tok": 2, "head_dim": 16}, {}),
    "Qwen3Moe": ("Qwen3MoeForCausalLM", {"moe_intermediate_size": 96, "intermediate_size": 128, "norm_topk_prob": True, "head_dim": 16,
                                        **FEW}, {"num_experts": 6, "rope_theta": 10000.0}),
    "Qwen2Moe": ("Qwen2MoeForCausalLM", {"moe_intermediate_size": 96, "intermediate_size": 128, "shared_expert_intermediate_size": 128,
                                        **FEW}, {"rope_theta": 10000.0}),
    "OLMoE": ("OlmoeForCausalLM", {"intermediate_size": 96, **FEW}, {}),
}
GROUP, CUT = 32, "1:2"
# mlx-lm and transformers sum in f32 in orders of their own.
LIMIT = 1e-3
IDS = np.random.default_rng(0).integers(5, 2000, (1, 24))


def check(checks):
    import mlx.core as mx
    mx.set_default_device(mx.cpu)
    for label, (name, members, patch) in MODELS.items():
        with checks.section(f"forms {label} MLX"), folder() as work:
            work = pathlib.Path(work)
            make(work / "plain", name, members, patch)
            make(work / "fused", name, members, patch, fused=True)
            make(work / "newest", name, members, {})
            for bits in (4, 8):
                theirs = quantized(work, bits)
                read(checks, f"forms {label} MLX, {bits} bits", name, theirs, work)
            written(checks, f"forms {label} MLX4", work)
            for kind in ("MLX-MXFP4", "MLX-NVFP4"):
                other(checks, f"forms {label} {kind}", name, kind, work)


def make(path, name, members, patch, fused=False):
    """A random model in f32, with a tensor for each expert or for all."""
    kind = getattr(transformers, name)
    torch.manual_seed(3)
    model = kind(kind.config_class(**SIZES, **members)).float()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() == 1:
                weight.add_(0.2 * torch.randn_like(weight))
    model.save_pretrained(path, save_original_format=not fused)
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | patch, indent=2))
    for file in FIXTURE.glob("token*"):
        shutil.copyfile(file, path / file.name)


def quantized(work, bits):
    """What mlx-lm makes of the model."""
    from mlx_lm import convert
    output = work / f"mlx{bits}"
    with contextlib.redirect_stdout(io.StringIO()):
        convert(str(work / "plain"), str(output), quantize=True, q_bits=bits, q_group_size=GROUP, dtype="float32")
    return output


def mlx_logits(path):
    import mlx.core as mx
    from mlx_lm.utils import load_model
    model, _ = load_model(path)
    model.set_dtype(mx.float32)
    return torch.from_numpy(np.array(model(mx.array(IDS)).astype(mx.float32)))[0]


@torch.no_grad()
def torch_logits(name, path):
    model = getattr(transformers, name).from_pretrained(str(path), dtype=torch.float32).eval()
    return model(torch.from_numpy(IDS)).logits[0]


def near(checks, label, found, expected):
    checks.below(f"{label}: logits", classes.apart(found, expected), LIMIT)


def read(checks, label, name, theirs, work):
    """A folder of mlx-lm, unpacked for transformers, and cut for mlx-lm."""
    import mlx.core as mx
    output = work / "unpacked"
    resect("convert", theirs, "-o", output, "--dtype", "f32", "--force", "--no-sync")
    near(checks, f"{label}, converted, in transformers", torch_logits(name, output), mlx_logits(theirs))
    stored, wrong, count = tensors(theirs), [], 0
    found, plain = tensors(output), tensors(work / "plain")
    checks.equal(f"{label}: the names are transformers'", set(found) ^ set(plain))
    settings = json.loads((theirs / "config.json").read_text())["quantization"]
    for scales in (part for part in stored if part.endswith(".scales") and "switch_mlp" in part):
        module = scales.removesuffix(".scales")
        weight, scale, bias = (mx.array(stored[f"{module}.{part}"].numpy()) for part in ("weight", "scales", "biases"))
        values = np.array(mx.dequantize(weight, scale, bias, GROUP, settings["bits"]))
        for expert, matrix in enumerate(values):
            count += 1
            own = matrix_name(module, expert)
            if not np.array_equal(found[own].numpy(), matrix):
                wrong.append(own)
    checks.equal(f"{label}: {count} matrices of experts are mx.dequantize's", wrong or ([] if count else ["none"]))
    resect("cut", theirs, "-o", work / "cut", "--layers", CUT, "--force", "--no-sync")
    resect("cut", output, "-o", work / "cut-unpacked", "--layers", CUT, "--force", "--no-sync")
    near(checks, f"{label}, cut, in mlx-lm", mlx_logits(work / "cut"), torch_logits(name, work / "cut-unpacked"))


def matrix_name(module, expert):
    """Where transformers has an expert of a stack."""
    block, part = module.split(".switch_mlp.")
    if "block_sparse_moe" in block:
        part = {"gate_proj": "w1", "down_proj": "w2", "up_proj": "w3"}[part]
    return f"{block}.experts.{expert}.{part}.weight"


def written(checks, label, work):
    """A folder of resect has the tensors of mlx-lm's, and both run alike."""
    theirs = tensors(work / "mlx4")
    # "newest": config.json as transformers 5 writes it, of which mlx-lm reads a part.
    for source in ("plain", "fused", "mlx4", "newest"):
        output = work / f"ours-{source}"
        resect("quantize", work / source, "-o", output, "--type", "MLX4", "--group-size", str(GROUP), "--no-sync",
               "--allow-requantize")
        found = tensors(output)
        # mlx-lm packs routers too, in eight bits or four; resect leaves them as they are.
        packed = [part for part in found if ".switch_mlp." in part]
        checks.check(f"{label}, from {source}: stacks of experts", len(packed) == 27, len(packed))
        checks.equal(f"{label}, from {source}: the parts of experts are mlx-lm's", (
            part for part in packed if part not in theirs or not found[part].equal(theirs[part])))
        resect("convert", output, "-o", work / "unpacked", "--dtype", "f32", "--force", "--no-sync")
        name = json.loads((output / "config.json").read_text())["architectures"][0]
        near(checks, f"{label}, from {source}, in mlx-lm", mlx_logits(output), torch_logits(name, work / "unpacked"))


def other(checks, label, name, kind, work):
    """The other forms of mlx-lm."""
    resect("quantize", work / "plain", "-o", work / kind, "--type", kind, "--no-sync")
    resect("convert", work / kind, "-o", work / "unpacked", "--dtype", "f32", "--force", "--no-sync")
    near(checks, f"{label}, in mlx-lm", mlx_logits(work / kind), torch_logits(name, work / "unpacked"))
