"""`cut` of an HF folder of 2 GB against `cp` of a file with as many bytes as the cut leaves, and on XFS.

resect syncs what it writes before it renames it, cp does not: cp followed by sync, and `cut --no-sync`, are measured too.
Who writes first after a pause or a large deletion pays for the memory of the page cache, some seconds, whatever
it is: before every run that counts the same file is copied and removed once without a clock.
On XFS, where files can share blocks, cp is told to copy (--reflink=never). It is mounted on a loop device, which needs root.
"""

import shutil
import subprocess
import sys

import numpy as np

import synthetic
from rounds import medians, resect, row, seconds

LAYERS, CUT = 26, "12:18"
SIZES = dict(hidden=2048, ffn=5632, kv=512, vocabulary=32000)


def measure(work, options):
    random = np.random.default_rng(2)
    noise = random.integers(0x3C00, 0x3D00, 1 << 24, np.uint16)
    source, kept = work / "model", work / "kept"
    synthetic.folder(source, LAYERS, **SIZES, fill=lambda _, count: np.resize(noise, count))
    # What cp copies: the cut folder's weights, made by the program itself.
    resect("cut", source, "-o", kept, "--layers", CUT)
    file = kept / "model.safetensors"
    what = f"cut to {file.stat().st_size / 1e9:.2f} GB"
    return ext4(work, source, file, what, options) + xfs(work, source, file, what, options)


def ext4(work, source, file, what, options):
    copy, scratch, output = work / "copy.safetensors", work / "scratch.safetensors", work / "out"

    def warmed(run):
        def both():
            seconds("cp", file, scratch, output=scratch)
            return run()
        return both

    def cut(*flags):
        return warmed(lambda: resect("cut", source, "-o", output, "--layers", CUT, *flags, output=output))

    found = medians({
        "resect cut": cut(),
        "resect cut --no-sync": cut("--no-sync"),
        "cp": warmed(lambda: seconds("cp", file, copy, output=copy)),
        "cp and sync": warmed(
            lambda: seconds("sh", "-c", 'cp "$1" "$2" && sync "$2"', "sh", file, copy, output=copy)),
    }, options.rounds)
    return [
        row(what, found["resect cut"], "cp", found["cp"], 1.0),
        row(what, found["resect cut"], "cp and sync", found["cp and sync"]),
        row(what + " --no-sync", found["resect cut --no-sync"], "cp", found["cp"]),
    ]


def xfs(work, source, file, what, options):
    image, place = work / "xfs.img", work / "xfs"
    place.mkdir()
    with open(image, "wb") as empty:
        empty.truncate(8 << 30)
    commands = [["mkfs.xfs", "-q", image], ["mount", "-o", "loop", image, place]]
    if not shutil.which("mkfs.xfs") or any(subprocess.run(c, capture_output=True).returncode for c in commands):
        print("bench: XFS cannot be mounted here: left out", file=sys.stderr)
        return []
    try:
        shutil.copytree(source, place / "model")
        shutil.copyfile(file, place / file.name)
        copy, output = place / "copy", place / "out"
        found = medians({
            "resect cut, XFS": lambda: resect(
                "cut", place / "model", "-o", output, "--layers", CUT, output=output),
            "cp, XFS": lambda: seconds("cp", "--reflink=never", place / file.name, copy, output=copy),
        }, options.rounds)
        return [row(what + " on XFS", found["resect cut, XFS"], "cp", found["cp, XFS"], 0.05)]
    finally:
        subprocess.run(["umount", place])
