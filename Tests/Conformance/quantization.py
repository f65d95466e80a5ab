"""`quantize` against llama-quantize with its stock settings."""

import numpy as np

import tensorfiles
from models import SOURCES, gguf_path
from tools import THREADS, folder, llama, resect

EXACT, CLOSE = ("Q8_0", "Q4_0"), ("Q4_K_M", "Q4_K_S")


def check(checks):
    for name, (source, _) in SOURCES.items():
        original = gguf_path(name)
        plain = {tensor: values for tensor, _, values in tensorfiles.gguf_values(original)}
        for kind in EXACT + CLOSE:
            label = f"quantize {name} {kind}"
            with checks.section(label), folder() as work:
                ours, theirs, straight = (f"{work}/{n}.gguf" for n in ("ours", "theirs", "straight"))
                llama("llama-quantize", original, theirs, kind, THREADS)
                resect("quantize", original, "-o", ours, "--type", kind)
                resect("quantize", source, "-o", straight, "--type", kind)
                if kind in EXACT:
                    checks.equal(f"{label}: tensors equal llama-quantize's", tensorfiles.tensor_differences(
                        tensorfiles.gguf_tensors(ours), tensorfiles.gguf_tensors(theirs)))
                else:
                    closeness(checks, label, plain, ours, theirs)
                checks.equal(f"{label}: metadata equals llama-quantize's", tensorfiles.value_differences(
                    tensorfiles.gguf_metadata(ours), tensorfiles.gguf_metadata(theirs)))
                checks.equal(f"{label}: the HF folder gives the same tensors", tensorfiles.tensor_differences(
                    tensorfiles.gguf_tensors(straight), tensorfiles.gguf_tensors(ours)))


def errors(plain, path):
    """The type and the root-mean-square error of every tensor."""
    for name, kind, values in tensorfiles.gguf_values(path):
        difference = np.asarray(values, np.float64) - plain[name].reshape(values.shape)
        yield name, (kind, float(np.sqrt(np.mean(difference * difference))))


def closeness(checks, label, plain, ours, theirs):
    mine, other = dict(errors(plain, ours)), dict(errors(plain, theirs))
    kinds = lambda found: {name: kind for name, (kind, _) in found.items()}
    if not checks.equal(f"{label}: every tensor has llama-quantize's type",
                        tensorfiles.value_differences(kinds(mine), kinds(other))):
        return
    ratios = {name: mine[name][1] / error if error else float(mine[name][1] > 0) + 1
              for name, (_, error) in other.items()}
    worst = max(ratios, key=ratios.get)
    checks.check(f"{label}: root-mean-square error beside llama-quantize's", ratios[worst] <= 1.01,
                 f"{ratios[worst]:.5f} at {worst} (at most 1.01)")
    mine_bytes, other_bytes = tensorfiles.gguf_tensors(ours), tensorfiles.gguf_tensors(theirs)
    equal = sum(mine_bytes[name] == tensor for name, tensor in other_bytes.items())
    checks.note(f"{label}: {equal} of {len(other)} tensors are equal bytes; "
                f"types: {', '.join(sorted({kind for kind, _ in other.values()}))}")
