"""`cut` of an HF folder and of a GGUF file: loads elsewhere, computes what skipping computes, copies what stays."""

import gc
import json
import pathlib

import torch

import forward
import tensorfiles
from models import SMOLLM2, SMOLLM2_HF, gguf_path
from tools import EVALUATION, FIXTURE, folder, generate, resect

# Name, HF folder, GGUF file, the layers to cut.
CASES = [
    ("smollm2", SMOLLM2_HF, SMOLLM2, range(13, 19)),
    ("fixture", FIXTURE, gguf_path("fixture"), range(3, 6)),
]
SEQUENCES, CONTEXT = 4, 256


def layers(run):
    """A run of layers as the command line writes it."""
    return f"{run.start}:{run.stop}"


def check(checks):
    for name, source, gguf_source, run in CASES:
        label = f"cut {name} {layers(run)}"
        with checks.section(label), folder() as work:
            cut = pathlib.Path(work) / "cut"
            resect("cut", source, "-o", cut, "--layers", layers(run))
            files(checks, label, source, cut, run)
            computes(checks, label, source, cut, run)
        with checks.section(f"{label} gguf"), folder() as work:
            gguf_files(checks, label, source, gguf_source, run, pathlib.Path(work))


def files(checks, label, source, cut, run):
    """What the folder holds: the kept tensors, the configuration with its new count, the other files."""
    checks.equal(f"{label}: kept tensors are identical bytes", tensorfiles.tensor_differences(
        tensorfiles.safetensors_tensors(cut),
        tensorfiles.without_layers(tensorfiles.safetensors_tensors(source), run.start, run.stop)))
    read = lambda path: json.loads((path / "config.json").read_text(encoding="utf-8"))
    expected = read(source)
    expected["num_hidden_layers"] -= len(run)
    checks.equal(f"{label}: config.json has the new layer count and is else the same",
                 tensorfiles.value_differences(read(cut), expected))
    others = [p.name for p in source.iterdir() if p.suffix in (".json", ".jinja", ".txt") and p.name != "config.json"]
    checks.equal(f"{label}: the other files are the same", [
        other for other in others
        if not (cut / other).exists() or (cut / other).read_bytes() != (source / other).read_bytes()])


def computes(checks, label, source, cut, run):
    """The cut model in transformers against the original with the layers skipped, both in f32."""
    model, info = forward.load(cut, output_loading_info=True)
    checks.equal(f"{label}: loads in transformers with no missing or unexpected key",
                 [f"{kind} {keys}" for kind, keys in info.items() if keys])
    checks.check(f"{label}: layers in transformers", len(model.model.layers) == model.config.num_hidden_layers,
                 str(len(model.model.layers)))
    ids = forward.chunks(source, EVALUATION, SEQUENCES, CONTEXT)
    ours = forward.logits(model, ids)
    del model
    gc.collect()
    theirs = forward.logits(forward.load(source), ids, run)
    worst = ((ours - theirs).abs().max() / theirs.std()).item()
    checks.below(f"{label}: logits against the skipped layers, largest difference in standard deviations",
                 worst, 1e-3)


def gguf_files(checks, label, source, gguf_source, run, work):
    """The same cut of a GGUF file, and from the HF folder straight to GGUF."""
    cut, straight, folder_cut, two_steps = (
        work / n for n in ("cut.gguf", "straight.gguf", "cut", "two-steps.gguf"))
    resect("cut", gguf_source, "-o", cut, "--layers", layers(run))
    checks.equal(f"{label} gguf: kept tensors are identical bytes", tensorfiles.tensor_differences(
        tensorfiles.gguf_tensors(cut),
        tensorfiles.without_layers(tensorfiles.gguf_tensors(gguf_source), run.start, run.stop)))
    expected = tensorfiles.gguf_metadata(gguf_source)
    types, count = expected["llama.block_count"]
    expected["llama.block_count"] = types, count - len(run)
    # The size in the name follows the number of parameters.
    checks.equal(f"{label} gguf: metadata has the new layer count and is else the same",
                 tensorfiles.value_differences(
                     tensorfiles.gguf_metadata(cut), expected, exempt=("general.size_label",)))
    said = generate(cut, "And it came to pass", 16)
    checks.check(f"{label} gguf: loads in llama.cpp and generates", bool(said), repr(said[:80]))
    resect("cut", source, "-o", straight, "--layers", layers(run))
    resect("cut", source, "-o", folder_cut, "--layers", layers(run))
    resect("convert", folder_cut, "-o", two_steps)
    checks.equal(f"{label}: to GGUF in one pass gives the tensors of cut, then convert",
                 tensorfiles.tensor_differences(
                     tensorfiles.gguf_tensors(straight), tensorfiles.gguf_tensors(two_steps)))
