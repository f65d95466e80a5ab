"""Inputs that change while they are read, and inputs that are no files."""

import os
import random
import shutil
import time

from kills import quantizable
from machine import MODEL, ROOT, model, run, start, tree


def truncation(checks, folder, count):
    """An input is cut short, or written to, at any moment: an error that names it, never another end or an output."""
    quantizable(folder)
    original = folder / "quantizable.gguf"
    source = folder / "source.gguf"
    kjv = folder / "kjv.gguf"
    run("convert", MODEL, "-o", kjv, "--dtype", "f32")
    text = ROOT / "fixtures/evaluation.txt"
    cases = [
        ("cut", original, ["cut", source, "-o", folder / "out.gguf", "--layers", "1:2"], 1.0),
        ("quantize", original, ["quantize", source, "-o", folder / "out.gguf", "--type", "Q4_K_M"], 1.5),
        ("stream", original, ["convert", source, "-o", "-"], 0.5),
        ("evaluate", kjv, ["evaluate", source, "--corpus", text], 1.0),
        ("inspect", kjv, ["inspect", source, "--tensors"], 0.01),
        ("hash", original, ["hash", source], 0.5),
    ]
    for name, model_file, arguments, length in cases:
        ended = {0: 0, 2: 0}
        for _ in range(max(5, count // 10)):
            shutil.copyfile(model_file, source)
            before = tree(folder)
            process = start(*arguments)
            time.sleep(random.uniform(0, length))
            was_running = process.poll() is None
            os.truncate(source, random.randrange(0, os.path.getsize(source)))
            status = process.wait(timeout=120)
            checks.expect(status in (0, 2), f"{name}: exit status {status} after its input was truncated")
            ended[status] = ended.get(status, 0) + 1
            if status == 0:
                # It was done reading; what it wrote must be whole.
                out = folder / "out.gguf"
                if out.exists():
                    checks.expect(run("inspect", out)[0] == 0, f"{name}: the output cannot be read")
                    out.unlink()
            checks.expect(set(tree(folder)) == set(before), f"{name}: left {sorted(set(tree(folder)) - set(before))}")
        checks.note(f"{name}: {ended[2]} refused, {ended[0]} had ended before")


def inputs(checks, folder, count):
    """Devices, FIFOs, sockets, folders and files of a tebibyte."""
    fifo = folder / "fifo"
    os.mkfifo(fifo)
    huge = folder / "huge.safetensors"
    with open(huge, "wb") as file:
        file.truncate(1 << 40)
    real = model(folder / "sparse.safetensors", 64, 1 << 17, 1 << 16, sparse=True)
    for path in [fifo, "/dev/zero", "/dev/null", "/dev/tty", huge]:
        for command in (["inspect", path], ["cut", path, "-o", folder / "out", "--layers", "0:1"], ["hash", path]):
            started = time.monotonic()
            status, said = run(*command, timeout=20)
            taken = time.monotonic() - started
            checks.expect(status == 2 and taken < 1, f"{command}: status {status} after {taken:.1f} s: {said}")
    started = time.monotonic()
    status, said = run("inspect", real)
    taken = time.monotonic() - started
    checks.expect(status == 0 and taken < 1, f"inspect of a tebibyte: status {status} after {taken:.1f} s: {said}")
    for out in (fifo, "/dev/null"):
        status, said = run("cut", MODEL, "-o", out, "--layers", "0:1", "--force")
        checks.expect(status == 2, f"an output {out}: status {status}: {said}")
    checks.expect(os.path.exists("/dev/null") and not os.path.isfile("/dev/null"), "/dev/null was replaced")
    folder_model = folder / "model"
    folder_model.mkdir()
    for name in os.listdir(MODEL):
        if name != "config.json":
            os.symlink(MODEL / name, folder_model / name)
    os.mkfifo(folder_model / "config.json")
    status, said = run("inspect", folder_model, timeout=20)
    checks.expect(status in (0, 2), f"a FIFO for a configuration: status {status}: {said}")
