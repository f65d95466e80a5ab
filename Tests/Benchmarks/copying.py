"""`cut` of an HF folder of 2 GB against `cp` of a file with as many bytes as the cut leaves.

resect syncs what it writes before it renames it, cp does not: cp followed by sync is measured too.
Who writes first after a pause or a large deletion pays for the memory of the page cache, some seconds, whatever
it is: before every run that counts the same file is copied and removed once without a clock.
"""

import numpy as np

import synthetic
from rounds import medians, resect, row, seconds

LAYERS, CUT = 26, "12:18"
SIZES = dict(hidden=2048, ffn=5632, kv=512, vocabulary=32000)


def measure(work, options):
    random = np.random.default_rng(2)
    noise = random.integers(0x3C00, 0x3D00, 1 << 24, np.uint16)
    source, kept, output = work / "model", work / "kept", work / "out"
    synthetic.folder(source, LAYERS, **SIZES, fill=lambda _, count: np.resize(noise, count))
    # What cp copies: the cut folder's weights, made by the program itself.
    resect("cut", source, "-o", kept, "--layers", CUT)
    file, copy = kept / "model.safetensors", work / "copy.safetensors"
    scratch = work / "scratch.safetensors"

    def warmed(run):
        def both():
            seconds("cp", file, scratch, output=scratch)
            return run()
        return both

    found = medians({
        "resect cut": warmed(lambda: resect("cut", source, "-o", output, "--layers", CUT, output=output)),
        "cp": warmed(lambda: seconds("cp", file, copy, output=copy)),
        "cp and sync": warmed(
            lambda: seconds("sh", "-c", 'cp "$1" "$2" && sync "$2"', "sh", file, copy, output=copy)),
    }, options.rounds)
    what = f"cut to {file.stat().st_size / 1e9:.2f} GB"
    return [row(what, found["resect cut"], peer, found[peer], target)
            for peer, target in (("cp", 1.2), ("cp and sync", None))]
