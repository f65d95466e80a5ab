"""The forms that a checkpoint comes in: HF shards, splits of GGUF, GGUF version 2 and big-endian, one safetensors file."""

import pathlib
import shutil
import sys

import torch

import forward
import tensorfiles
from models import gguf_path
from tools import FIXTURE, HERE, folder, resect, run


def check(checks):
    for name, test in (("shards", shards), ("split GGUF", split), ("GGUF version 2", version_2),
                       ("big-endian GGUF", big_endian), ("one safetensors file", single)):
        with checks.section(f"read {name}"), folder() as work:
            test(checks, f"read {name}", pathlib.Path(work))


def shards(checks, label, work):
    sharded, output = work / "sharded", work / "whole.safetensors"
    forward.load(FIXTURE, torch.bfloat16).save_pretrained(sharded, max_shard_size="4MB")
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(FIXTURE / file, sharded)
    count = len(list(sharded.glob("*.safetensors")))
    resect("convert", sharded, "-o", output)
    checks.equal(f"{label}: {count} shards give the tensors of the whole", tensorfiles.tensor_differences(
        tensorfiles.safetensors_tensors(output), tensorfiles.safetensors_tensors(FIXTURE)))
    resect("convert", sharded, "-o", work / "whole.gguf")
    checks.equal(f"{label}: {count} shards give the GGUF of the whole", tensorfiles.tensor_differences(
        tensorfiles.gguf_tensors(work / "whole.gguf"), tensorfiles.gguf_tensors(gguf_path("fixture"))))


def split(checks, label, work):
    run([sys.executable, HERE / "converter.py", "gpt-2", FIXTURE, "--outfile", work / "model.gguf",
         "--outtype", "bf16", "--split-max-tensors", 40])
    parts = sorted(work.glob("model-*.gguf"))
    whole = gguf_path("fixture")
    for part in (parts[0], parts[-1]):
        output = work / "whole.gguf"
        resect("convert", part, "-o", output, "--force")
        checks.equal(f"{label}: tensors of the whole from {part.name}", tensorfiles.tensor_differences(
            tensorfiles.gguf_tensors(output), tensorfiles.gguf_tensors(whole)))
        checks.equal(f"{label}: metadata of the whole from {part.name}", tensorfiles.value_differences(
            tensorfiles.gguf_metadata(output), tensorfiles.gguf_metadata(whole)))


def version_2(checks, label, work):
    old, output = work / "old.gguf", work / "new.gguf"
    data = bytearray(gguf_path("fixture").read_bytes())
    data[4:8] = (2).to_bytes(4, "little")
    old.write_bytes(data)
    resect("convert", old, "-o", output)
    checks.equal(f"{label}: tensors", tensorfiles.tensor_differences(
        tensorfiles.gguf_tensors(output), tensorfiles.gguf_tensors(gguf_path("fixture"))))
    checks.check(f"{label}: is written as version 3", output.read_bytes()[4] == 3)


def big_endian(checks, label, work):
    """gguf-py turns a file round where it stands; resect reads it and writes it as it was. It knows some of the types only."""
    for kind in ("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_K_M"):
        name = kind.lower()
        if kind in ("F32", "F16", "BF16"):
            whole = gguf_path("fixture", name)
        else:
            whole = work / f"{name}.gguf"
            resect("quantize", gguf_path("fixture", "f32"), "-o", whole, "--type", kind)
        turned, output = work / f"{name}-big.gguf", work / f"{name}-again.gguf"
        shutil.copy(whole, turned)
        run([sys.executable, "-m", "gguf.scripts.gguf_convert_endian", turned, "big"], said="YES\n")
        resect("convert", turned, "-o", output)
        checks.check(f"{label}: {kind} is written as it was before gguf-py turned it round",
                     output.read_bytes() == whole.read_bytes() != turned.read_bytes())


def single(checks, label, work):
    output = work / "out.safetensors"
    resect("cut", FIXTURE / "model.safetensors", "-o", output, "--layers", "4:6")
    checks.equal(f"{label}: a cut keeps the other tensors", tensorfiles.tensor_differences(
        tensorfiles.safetensors_tensors(output),
        tensorfiles.without_layers(tensorfiles.safetensors_tensors(FIXTURE), 4, 6)))
