"""Anonymous memory while commands run: `analyze` under 400 MiB, `cut` and `convert` under 64 MiB."""

import pathlib
import subprocess
import time

import synthetic
import tensorfiles
from models import SMOLLM2, SMOLLM2_HF
from tools import CALIBRATION, RESECT, THREADS, Failed, folder

MIB = 1024


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
        raise Failed(f"{' '.join(command[1:])}: exit status {process.returncode}: "
                     f"{process.stderr.read().decode('utf-8', 'replace').strip()}")
    return highest / MIB


def check(checks):
    for name, model in (("smollm2 hf", SMOLLM2_HF), ("smollm2 q4_1", SMOLLM2)):
        with checks.section(f"memory {name}"), folder() as work:
            measure = lambda command, limit, *arguments: checks.below(
                f"memory {name}: {command}, peak of anonymous memory in MiB",
                peak(command.split()[0], model, *arguments), limit, "{:.1f}")
            measure("analyze", 400, "--corpus", CALIBRATION, "-o", f"{work}/a.json")
            measure("cut", 64, "-o", f"{work}/cut{model.suffix}", "--layers", "13:19")
            measure("convert to the other form", 64, "-o",
                    f"{work}/other" if model.suffix else f"{work}/other.gguf")
            measure("convert to f32", 64, "-o", f"{work}/f32.gguf", "--dtype", "f32")
    with checks.section("memory of a file above 4 GiB"), folder() as work:
        large(checks, pathlib.Path(work))


def large(checks, work):
    source, cut, converted = work / "model", work / "cut", work / "f16.safetensors"
    size = synthetic.folder(source, layers=14)
    name = f"memory of a file of {size / 2**30:.1f} GiB"
    checks.below(f"{name}: cut, peak of anonymous memory in MiB",
                 peak("cut", source, "-o", cut, "--layers", "5:8"), 64, "{:.1f}")
    norms = lambda path: tensorfiles.safetensors_tensors(path, synthetic.is_small)
    checks.equal(f"{name}: the norms of the cut are identical bytes", tensorfiles.tensor_differences(
        norms(cut), tensorfiles.without_layers(norms(source), 5, 8)))
    checks.below(f"{name}: convert to f16, peak of anonymous memory in MiB",
                 peak("convert", source, "-o", converted, "--dtype", "f16"), 64, "{:.1f}")
