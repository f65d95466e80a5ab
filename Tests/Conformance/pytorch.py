"""PyTorch's own files: zipped, of before 1.6, in shards, large; what resect makes of them against what torch.load gives."""

import json
import pathlib
import shutil

import torch
from transformers import AutoModelForCausalLM

import tensorfiles
from models import SMOLLM2_HF
from tools import FIXTURE, folder, resect

BIN = "pytorch_model.bin"
INDEX = BIN + ".index.json"


def check(checks):
    for name, test in (("zipped", zipped), ("older", older), ("in shards", sharded), ("with views", views),
                       ("large", large)):
        with checks.section(f"read PyTorch {name}"), folder() as work:
            test(checks, f"read PyTorch {name}", pathlib.Path(work))


def state(source):
    """What PyTorch itself saves of a model: with both names of tied embeddings."""
    return AutoModelForCausalLM.from_pretrained(source, dtype=torch.bfloat16).state_dict()


def companions(source, target):
    """The folder without weights."""
    target.mkdir()
    for path in pathlib.Path(source).iterdir():
        if not path.name.endswith((".safetensors", ".index.json")):
            shutil.copy(path, target)


def whole(checks, label, work, source, old):
    model = work / "model"
    companions(source, model)
    weights = state(source)
    torch.save(weights, model / BIN, _use_new_zipfile_serialization=not old)
    expected = tensorfiles.safetensors_tensors(source)
    resect("convert", model, "-o", work / "out")
    checks.equal(f"{label}: tensors of the folder, tied ones once", tensorfiles.tensor_differences(
        tensorfiles.safetensors_tensors(work / "out"), expected))
    resect("convert", model / BIN, "-o", work / "out.safetensors")
    checks.equal(f"{label}: tensors of the file alone, tied ones twice", tensorfiles.tensor_differences(
        tensorfiles.safetensors_tensors(work / "out.safetensors"), state_tensors(weights)))
    loaded = state(work / "out")
    checks.check(f"{label}: transformers loads the result", loaded.keys() == weights.keys() and all(
        torch.equal(loaded[name], weights[name]) for name in weights))
    resect("convert", model, "-o", work / "torch.gguf")
    resect("convert", source, "-o", work / "safetensors.gguf")
    checks.equal(f"{label}: the GGUF of the safetensors", tensorfiles.tensor_differences(
        tensorfiles.gguf_tensors(work / "torch.gguf"), tensorfiles.gguf_tensors(work / "safetensors.gguf")))


def state_tensors(weights):
    """A state in the form of tensorfiles."""
    return {name: ("BF16", tuple(tensor.shape), tensor.contiguous().view(torch.uint8).numpy().tobytes())
            for name, tensor in weights.items()}


def zipped(checks, label, work):
    whole(checks, label, work, SMOLLM2_HF, old=False)


def older(checks, label, work):
    whole(checks, label, work, SMOLLM2_HF, old=True)


def sharded(checks, label, work):
    model = work / "model"
    companions(FIXTURE, model)
    weights = {name: tensor for name, tensor in state(FIXTURE).items() if name != "lm_head.weight"}
    names = sorted(weights)
    parts = [names[:40], names[40:70], names[70:]]
    places = {}
    for number, part in enumerate(parts, 1):
        file = f"pytorch_model-{number:05}-of-{len(parts):05}.bin"
        torch.save({name: weights[name] for name in part}, model / file)
        places |= {name: file for name in part}
    (model / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": places}))
    for path in (model, model / INDEX):
        resect("convert", path, "-o", work / "out", "--force")
        checks.equal(f"{label}: tensors through {path.name}", tensorfiles.tensor_differences(
            tensorfiles.safetensors_tensors(work / "out"), tensorfiles.safetensors_tensors(FIXTURE)))
    loaded = state(work / "out")
    checks.check(f"{label}: transformers loads the result", all(
        torch.equal(loaded[name], weights[name]) for name in weights))


def views(checks, label, work):
    torch.manual_seed(1)
    base = torch.randn(1 << 20).to(torch.bfloat16)
    weights = {}
    for number in range(50):
        rank = int(torch.randint(1, 5, ()))
        shape = [int(n) for n in torch.randint(1, 24, (rank,))]
        strides = [int(n) for n in torch.randint(0, 400, (rank,))]
        if number % 2:  # an order of a matrix, as a transposed weight has it
            shape = [int(n) for n in torch.randint(1, 700, (2,))]
            strides = [1, shape[0]]
        weights[f"view.{number}"] = base.as_strided(shape, strides, int(torch.randint(0, 5000, ())))
    for old in (False, True):
        torch.save(weights, work / "a.bin", _use_new_zipfile_serialization=not old)
        resect("convert", work / "a.bin", "-o", work / "a.safetensors", "--force")
        checks.equal(f"{label}: {len(weights)} views, {'older' if old else 'zipped'}", tensorfiles.tensor_differences(
            tensorfiles.safetensors_tensors(work / "a.safetensors"), state_tensors(weights)))


def large(checks, label, work):
    """A storage of more than 4 GiB, whose end alone is a tensor: sizes and places need 64 bits, the output is small."""
    storage = torch.zeros(5 << 30, dtype=torch.uint8)
    storage[-4:] = torch.tensor([1, 2, 3, 4])
    weights = {"end": storage[-4:], "small": torch.arange(3, dtype=torch.uint8)}
    torch.save(weights, work / "large.bin")
    resect("convert", work / "large.bin", "-o", work / "small.safetensors")
    checks.equal(f"{label}: tensors of a file of {(work / 'large.bin').stat().st_size} bytes",
                 tensorfiles.tensor_differences(
                     tensorfiles.safetensors_tensors(work / "small.safetensors"),
                     {name: ("U8", tuple(t.shape), t.numpy().tobytes()) for name, t in weights.items()}))
