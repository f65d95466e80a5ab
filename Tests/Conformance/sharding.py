"""Outputs of several files: split like the peers split, byte for byte where it is GGUF, and read by them."""

import json
import pathlib

import huggingface_hub
import safetensors.torch
import torch

import forward
import tensorfiles
from models import SMOLLM2, gguf_path
from tools import FIXTURE, folder, llama, resect


def check(checks):
    with checks.section("write shards"), folder() as work:
        folders(checks, pathlib.Path(work))
    with checks.section("write split GGUF"), folder() as work:
        splits(checks, pathlib.Path(work))
    with checks.section("set metadata"), folder() as work:
        metadata(checks, pathlib.Path(work))


def folders(checks, work):
    tensors = safetensors.torch.load_file(FIXTURE / "model.safetensors")
    order = tensorfiles.safetensors_tensors(FIXTURE)
    whole = {name: tensors[name] for name in order}
    for limit in ("100KB", "500KB", "4MB", "16MB"):
        output = work / limit
        resect("convert", FIXTURE, "-o", output, "--shard-size", limit)
        split = huggingface_hub.split_torch_state_dict_into_shards(whole, max_shard_size=limit)
        found = {file.name: set(tensorfiles.safetensors_tensors(file)) for file in output.glob("*.safetensors")}
        expected = {name: set(keys) for name, keys in split.filename_to_tensors.items()}
        label = f"write shards of {limit}"
        checks.equal(f"{label}: {len(expected)} files as huggingface_hub splits", tensorfiles.value_differences(found, expected))
        checks.equal(f"{label}: the tensors of the whole", tensorfiles.tensor_differences(
            tensorfiles.safetensors_tensors(output), order))
        index = output / "model.safetensors.index.json"
        if split.is_sharded:
            said = json.loads(index.read_text())
            expected = {"metadata": {"total_parameters": sum(t.numel() for t in whole.values()), **split.metadata},
                        "weight_map": split.tensor_to_filename}
            checks.equal(f"{label}: the index", tensorfiles.value_differences(said, expected))
            checks.check(f"{label}: the index is sorted", list(said["weight_map"]) == sorted(said["weight_map"]))
        else:
            checks.check(f"{label}: no index", not index.exists())
        state, peer = (forward.load(path, torch.bfloat16).state_dict() for path in (output, FIXTURE))
        checks.check(f"{label}: transformers loads the same model",
                     state.keys() == peer.keys() and all(torch.equal(state[n], peer[n]) for n in state))


def splits(checks, work):
    for source, limits in ((gguf_path("fixture"), ("2M", "5M", "1G")), (SMOLLM2, ("40M", "60M"))):
        for limit in limits:
            label = f"write {source.name} in files of {limit}"
            theirs = work / f"theirs-{source.stem}-{limit}"
            ours = work / f"ours-{source.stem}-{limit}.gguf"
            llama("llama-gguf-split", "--split", "--split-max-size", limit, source, theirs)
            resect("convert", source, "-o", ours, "--shard-size", limit)
            expected = sorted(work.glob(f"{theirs.name}-*.gguf"))
            if len(expected) == 1:
                checks.check(f"{label}: one file that is the whole", ours.read_bytes() == source.read_bytes())
                continue
            found = sorted(work.glob(f"{ours.stem}-*.gguf"))
            same = [f.name for f, e in zip(found, expected) if f.read_bytes() != e.read_bytes()]
            checks.check(f"{label}: {len(expected)} files, the bytes of llama-gguf-split",
                         len(found) == len(expected) and not same, " ".join(same))
            joined = work / "joined.gguf"
            joined.unlink(missing_ok=True)
            llama("llama-gguf-split", "--merge", found[0], joined)
            checks.equal(f"{label}: llama-gguf-split joins them to the whole", tensorfiles.tensor_differences(
                tensorfiles.gguf_tensors(joined), tensorfiles.gguf_tensors(source)))
            for path in (*found, *expected, joined):
                path.unlink()


def metadata(checks, work):
    output = work / "out.gguf"
    resect("convert", SMOLLM2, "-o", output, "--unset", "general.license", "--set", "general.alignment=u32:256",
           "--set", "general.name=str:Gr\u00fc\u00dfe, =1", "--set", "x.i=[i8]:-128,127", "--set", "x.s=[str]:\"a\",\"b,\\n\"",
           "--set", "x.f=f64:0.1", "--set", "x.b=bool:true", "--set", "x.u=u64:18446744073709551615", "--set", "x.e=[f32]:")
    expected = tensorfiles.gguf_metadata(SMOLLM2)
    expected.pop("general.license")
    expected |= {"general.alignment": (["UINT32"], 256), "general.name": (["STRING"], "Gr\u00fc\u00dfe, =1"),
                 "x.i": (["ARRAY", "INT8"], [-128, 127]), "x.s": (["ARRAY", "STRING"], ["a", "b,\n"]),
                 "x.f": (["FLOAT64"], 0.1), "x.b": (["BOOL"], True), "x.u": (["UINT64"], 2**64 - 1)}
    found = tensorfiles.gguf_metadata(output)
    # gguf-py does not tell the type of an array without elements.
    found.pop("x.e")
    checks.equal("set metadata: gguf-py reads what was set", tensorfiles.value_differences(found, expected))
    checks.equal("set metadata: the tensors at another alignment", tensorfiles.tensor_differences(
        tensorfiles.gguf_tensors(output), tensorfiles.gguf_tensors(SMOLLM2)))
    said = llama("llama-gguf-hash", "--xxh64", output), llama("llama-gguf-hash", "--xxh64", SMOLLM2)
    hashes = [{line.split()[-1].rsplit(":", 1)[-1]: line.split()[1] for line in text.splitlines() if ".gguf:" in line}
              for text in said]
    checks.check("set metadata: llama-gguf-hash gives the hashes of the tensors of the source",
                 len(hashes[0]) > 200 and hashes[0] == hashes[1])
