"""`quantize` against llama-quantize in every mixture and under its options: the type of every tensor of many models, and of some
of them every byte. The peer runs with the encoders that were built without contraction, which is what ours reproduce."""

import contextlib
import importlib.util
import os

import gguf
import numpy as np

import tensorfiles
from models import SMOLLM2, gguf_path
from tools import CACHE, LLAMA, ROOT, THREADS, folder, llama, resect, resect_json

_spec = importlib.util.spec_from_file_location("fixtures", ROOT / "fixtures" / "make-mixtures.py")
fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fixtures)

# Names of options, the peer's and ours.
OPTIONS = {"--output-tensor-type": "--output-type", "--token-embedding-type": "--embedding-type"}
SMALL = {"eight experts": fixtures.llama(3, kv=2, expert_count=8),
         "untied, with rows that 256 does not divide": fixtures.llama(8, hidden=288, ffn=320, heads=9, kv=3)}


def check(checks):
    with checks.section("mixtures"), folder() as work, exact_encoders():
        cut = f"{work}/cut.gguf"
        resect("cut", gguf_path("smollm2"), "--layers", "12:19", "-o", cut)
        for label, path in {"SmolLM2": gguf_path("smollm2"), "SmolLM2 without seven layers": cut,
                            "SmolLM2 in Q4_1": SMOLLM2}.items():
            types(checks, label, path)
        for label, model in fixtures.MODELS.items():
            fixtures.write(f"{work}/header.gguf", model)
            types(checks, label, f"{work}/header.gguf")
        paths = {"fixture": gguf_path("fixture")}
        for label, model in SMALL.items():
            paths[label] = f"{work}/{len(paths)}.gguf"
            fixtures.write(paths[label], model)
            fill(paths[label])
        for label, path in paths.items():
            contents(checks, work, label, path)
        asked(checks, work, gguf_path("fixture"))
        for first in ([], ["--no-tensor-first-split"]):
            split(checks, work, gguf_path("fixture"), first)
        order(checks, work)


@contextlib.contextmanager
def exact_encoders():
    """Lets llama-quantize take ggml's encoders from the library that was built for that."""
    os.environ["LD_PRELOAD"] = str(CACHE / "ggml-exact" / "libggml-base.so")
    try:
        yield
    finally:
        del os.environ["LD_PRELOAD"]


def fill(path):
    """Random numbers where a model has a hole."""
    random = np.random.default_rng(1)
    for tensor in gguf.GGUFReader(path, "r+").tensors:
        tensor.data[...] = random.normal(0, 0.02, tensor.data.shape).astype(tensor.data.dtype)


def ours(options):
    return [OPTIONS.get(option, option) for option in options]


def planned(path, mixture, *options):
    """The type and the bytes of every tensor, as a dry run says."""
    plan = resect_json("quantize", path, "-o", "x.gguf", "--type", mixture, "--dry-run", "--allow-requantize",
                       *options)
    return {t["name"]: (t["dtype"], t["byteCount"], t["bitsPerWeight"]) for t in plan["tensors"]}


def types(checks, label, path):
    """What a dry run says of every mixture."""
    shapes = {t.name: [int(n) for n in t.shape] for t in gguf.GGUFReader(path).tensors}
    wrong = []
    for mixture in fixtures.MIXTURES:
        expected = {}
        for name, kind in fixtures.types(LLAMA / "llama-quantize", path, mixture).items():
            elements, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]]
            expected[name] = kind, int(np.prod(shapes[name])) // elements * size, size * 8 / elements
        wrong += [f"{mixture}: {difference}" for difference in
                  tensorfiles.value_differences(planned(path, mixture), expected)]
    checks.equal(f"mixtures of {label}: {len(shapes)} tensors under {len(fixtures.MIXTURES)} mixtures have "
                 "llama-quantize's types", wrong)


def quantized(work, path, mixture, options):
    mine, theirs = f"{work}/mine.gguf", f"{work}/theirs.gguf"
    llama("llama-quantize", *options, path, theirs, mixture, THREADS)
    resect("quantize", path, "-o", mine, "--force", "--type", mixture, *ours(options))
    return mine, theirs


def contents(checks, work, label, path):
    """Every byte under every mixture."""
    wrong = []
    for mixture in fixtures.MIXTURES:
        mine, theirs = quantized(work, path, mixture, [])
        wrong += [f"{mixture}: {difference}" for difference in (
            *tensorfiles.tensor_differences(tensorfiles.gguf_tensors(mine), tensorfiles.gguf_tensors(theirs)),
            *tensorfiles.value_differences(tensorfiles.gguf_metadata(mine), tensorfiles.gguf_metadata(theirs)))]
    checks.equal(f"mixtures of {label}: all tensors and metadata equal llama-quantize's", wrong)


def asked(checks, work, path):
    """The options of the fixture of types, on a model with values."""
    combinations = [(mixture, options) for model, mixture, options in fixtures.ASKED if model == "tied"]
    wrong = []
    for mixture, options in combinations:
        mine, theirs = quantized(work, path, mixture, options)
        wrong += [f"{mixture} {' '.join(options)}: {difference}" for difference in tensorfiles.tensor_differences(
            tensorfiles.gguf_tensors(mine), tensorfiles.gguf_tensors(theirs))]
    checks.equal(f"mixtures: {len(combinations)} combinations of options give llama-quantize's tensors", wrong)


def split(checks, work, path, first):
    """A split model, shard by shard."""
    label = f"mixtures of a split model {' '.join(first)}".strip()
    source = f"{work}/split{len(first)}"
    llama("llama-gguf-split", "--split", "--split-max-size", "4M", *first, path, source)
    shards = sorted(os.path.basename(p) for p in os.listdir(work) if p.startswith(os.path.basename(source) + "-"))
    opened = f"{work}/{shards[0]}"
    llama("llama-quantize", "--keep-split", opened, f"{work}/theirs.gguf", "Q3_K_M", THREADS)
    resect("quantize", opened, "-o", f"{work}/mine.gguf", "--type", "Q3_K_M", "--keep-split")
    wrong = []
    for shard in shards:
        end = shard[shard.index("-"):]
        mine, theirs = (f"{work}/{name}{end}" for name in ("mine", "theirs"))
        wrong += tensorfiles.tensor_differences(tensorfiles.gguf_tensors(mine), tensorfiles.gguf_tensors(theirs))
        wrong += tensorfiles.value_differences(tensorfiles.gguf_metadata(mine), tensorfiles.gguf_metadata(theirs))
        for made in (mine, theirs):
            os.remove(made)
    checks.equal(f"{label}: {len(shards)} files with llama-quantize's tensors and metadata", wrong)


def order(checks, work):
    """The rules count in the order of the files when these are kept: a split model whose layers are in no order."""
    path = f"{work}/header.gguf"
    fixtures.write(path, fixtures.MODELS["the same in another order"])
    llama("llama-gguf-split", "--split", "--split-max-tensors", "80", path, f"{work}/order")
    opened, wrong = f"{work}/order-00001-of-00004.gguf", []
    for mixture in fixtures.MIXTURES:
        found = {name: kind for name, (kind, *_) in planned(opened, mixture, "--keep-split").items()}
        expected = fixtures.types(LLAMA / "llama-quantize", opened, mixture, "--keep-split")
        wrong += [f"{mixture}: {difference}" for difference in tensorfiles.value_differences(found, expected)]
    checks.equal("mixtures of a split model in another order: types as with llama-quantize --keep-split", wrong)
