"""`convert` of an HF folder of 1.1 billion parameters to GGUF in bf16, against convert_hf_to_gguf.py, and against cp of the
same bytes.

What cp gets warm is warm for the others too: see copying.py.
"""

import sys

import quantizing
from rounds import medians, resect, row, seconds
from tools import HERE


def measure(work, options):
    folder, output, copy, scratch = work / "model", work / "out.gguf", work / "copy", work / "scratch"
    quantizing.large(folder)
    weights = folder / "model.safetensors"

    def warmed(run):
        def both():
            seconds("cp", weights, scratch, output=scratch)
            return run()
        return both

    found = medians({
        "resect convert": warmed(lambda: resect("convert", folder, "-o", output, output=output)),
        "resect convert --no-sync": warmed(lambda: resect("convert", folder, "-o", output, "--no-sync", output=output)),
        "convert_hf_to_gguf.py": warmed(lambda: seconds(
            sys.executable, HERE / "converter.py", "-", folder, "--outfile", output, "--outtype", "bf16", output=output)),
        "cp": warmed(lambda: seconds("cp", weights, copy, output=copy)),
        "cp and sync": warmed(lambda: seconds("sh", "-c", 'cp "$1" "$2" && sync "$2"', "sh", weights, copy, output=copy)),
    }, min(2, options.rounds))
    what = f"HF folder to GGUF bf16, {weights.stat().st_size / 1e9:.2f} GB"
    return [
        row(what, found["resect convert"], "converter", found["convert_hf_to_gguf.py"], 0.1),
        row(what + " --no-sync", found["resect convert --no-sync"], "cp", found["cp"], 1.1),
        row(what, found["resect convert"], "cp and sync", found["cp and sync"], 1.1),
    ]
