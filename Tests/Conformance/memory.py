"""Anonymous memory while commands run: `analyze` under 400 MiB, `quantize` and one layer of 235 billion parameters under 256 MiB,
`cut`, `convert` and `pack` under 64 MiB."""

import pathlib
import shutil
import subprocess
import time

import synthetic
import tensorfiles
from models import SMOLLM2, SMOLLM2_HF
from tools import CALIBRATION, RESECT, THREADS, failure, folder

MIB = 1024
FORMS = ("W4A16", "GPTQ", "MLX4", "NF4", "NVFP4")


def anonymous(pid):
    """The process's anonymous memory in KiB; 0 once it is gone."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8") as status:
            for line in status:
                if line.startswith("RssAnon:"):
                    return int(line.split()[1])
    except OSError:
        pass
    return 0


def peak(*arguments):
    """Runs the program and gives its peak of anonymous memory in MiB, sampled every 2 ms."""
    command = [RESECT, *map(str, arguments), "--quiet", "--threads", THREADS]
    highest = 0
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE)
    while process.poll() is None:
        highest = max(highest, anonymous(process.pid))
        time.sleep(0.002)
    if process.returncode != 0:
        raise failure(command, process.returncode, process.stderr.read().decode("utf-8", "replace"))
    return highest / MIB


def check(checks):
    for name, model in (("smollm2 hf", SMOLLM2_HF), ("smollm2 q4_1", SMOLLM2)):
        with folder() as work:
            other = f"{work}/other" if model.suffix else f"{work}/other.gguf"
            measure(checks, name, "analyze", 400, model, "--corpus", CALIBRATION, "-o", f"{work}/last.json")
            measure(checks, name, "analyze", 400, model, "--corpus", CALIBRATION, "--tokens", "all",
                    "-o", f"{work}/all.json")
            measure(checks, name, "cut", 64, model, "-o", f"{work}/cut{model.suffix}", "--layers", "13:19")
            measure(checks, name, "convert", 64, model, "-o", other)
            measure(checks, name, "convert", 64, model, "-o", f"{work}/f32.gguf", "--dtype", "f32")
            measure(checks, name, "quantize", 256, model, "-o", f"{work}/q4.gguf", "--type", "Q4_K_M", "--allow-requantize")
            measure(checks, name, "pack", 64, model, "-o", f"{work}/x.resect")
            measure(checks, name, "unpack", 64, f"{work}/x.resect", "-o", f"{work}/back")
            measure(checks, name, "cut", 64, f"{work}/x.resect", "-o", f"{work}/packed{model.suffix}",
                    "--layers", "13:19")
    with checks.section("memory of a large file"), folder() as work:
        large(checks, pathlib.Path(work))
    with checks.section("memory of a sparse file"), folder() as work:
        huge(checks, pathlib.Path(work))
    with checks.section("memory of a sparse file with experts"), folder() as work:
        wide(checks, pathlib.Path(work))


def measure(checks, name, command, limit, *arguments):
    label = f"memory {name}: {command}"
    if "-o" in arguments:
        label += f" to {pathlib.Path(arguments[arguments.index('-o') + 1]).name}"
    with checks.section(label):
        checks.below(f"{label}, peak of anonymous memory in MiB", peak(command, *arguments), limit, "{:.1f}")


def large(checks, work):
    source, cut, converted = work / "model", work / "cut", work / "f16.safetensors"
    size = synthetic.folder(source, layers=14, vocabulary=49152)
    shutil.copyfile(SMOLLM2_HF / "tokenizer.json", source / "tokenizer.json")
    name = f"{size / 2**30:.1f} GiB file"
    measure(checks, name, "cut", 64, source, "-o", cut, "--layers", "5:8")
    norms = lambda path: tensorfiles.safetensors_tensors(path, synthetic.is_small)
    checks.equal(f"memory {name}: the norms of the cut are identical bytes", tensorfiles.tensor_differences(
        norms(cut), tensorfiles.without_layers(norms(source), 5, 8)))
    measure(checks, name, "convert", 64, source, "-o", converted, "--dtype", "f16")
    converted.unlink()
    for kind in ("IQ4_XS", *FORMS):
        output = work / (kind if kind in FORMS else f"{kind}.gguf")
        measure(checks, name, "quantize", 256, source, "-o", output, "--type", kind, "--no-sync")
    for kind in ("GPTQ", "NF4"):
        measure(checks, name, "quantize", 256, work / kind, "-o", work / f"from-{kind}.gguf", "--type", "Q4_0",
                "--allow-requantize", "--no-sync")


def huge(checks, work):
    """70 billion parameters, as a hole with norms in it: the cut keeps the hole, so that it takes no time and no disk."""
    source, cut = work / "model", work / "cut"
    size = synthetic.folder(source, layers=80, hidden=8192, ffn=28672, kv=1024, vocabulary=128256)
    name = f"{size / 1e9:.0f} GB file"
    measure(checks, name, "cut", 64, source, "-o", cut, "--layers", "40:56")
    measure(checks, name, "inspect", 64, cut)
    weights = cut / "model.safetensors"
    checks.below(f"memory {name}: MiB that the cut takes on the disk", weights.stat().st_blocks * 512 / 2**20, 64, "{:.1f}")
    norms = lambda path: tensorfiles.safetensors_tensors(path, synthetic.is_small)
    checks.equal(f"memory {name}: the norms of the cut are identical bytes", tensorfiles.tensor_differences(
        norms(cut), tensorfiles.without_layers(norms(source), 40, 56)))
    one_layer(checks, name, source, 80)


def wide(checks, work):
    """235 billion parameters, 128 experts to a layer, as a hole with norms in it."""
    source = work / "model"
    size = synthetic.experts(source, layers=94, hidden=4096, ffn=1536, kv=512, vocabulary=151936, experts=128, used=8)
    one_layer(checks, f"{size / 1e9:.0f} GB file with 128 experts", source, 94)


def one_layer(checks, name, source, layers):
    """The first layer and the logits, on 512 tokens."""
    shutil.copyfile(SMOLLM2_HF / "tokenizer.json", source / "tokenizer.json")
    measure(checks, name, "evaluate", 256, source, "--layers", f"1:{layers}", "--corpus", CALIBRATION, "--samples", "1",
            "--context", "512")
