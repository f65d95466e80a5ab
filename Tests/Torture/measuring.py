"""Measurements that are interrupted again and again, and continued with --resume until they are done."""

import random
import signal
import subprocess
import time

from machine import MODEL, RESECT, ROOT, run, same, tree

TEXT = ROOT / "fixtures/calibration.txt"
SMALL = ["--corpus", TEXT, "--drop", "2", "--context", "64", "--samples", "2"]
HEAL = ["--heal-samples", "24"]


def measuring(checks, folder, count):
    """The last run of several has the bytes of one that was not interrupted, and leaves only the output."""
    for name, output, options in [
        ("analyze", "a.json", SMALL + ["--loss-samples", "2"]),
        ("heal", "healed.gguf", SMALL + HEAL),
        ("shrink", "small.gguf", SMALL + HEAL + ["--type", "Q8_0", "--evaluation-samples", "4"]),
    ]:
        whole, out = folder / ("whole-" + output), folder / output
        started = time.monotonic()
        status, said = run(name, MODEL, *options, "-o", whole)
        length = time.monotonic() - started
        if not checks.expect(status == 0, f"{name}: {said}"):
            continue
        interrupted = continued = 0
        for attempt in range(max(4, count // 25) + 1):
            process = subprocess.Popen(
                [RESECT, name, MODEL, *options, "-o", out, "--resume"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            if attempt < max(4, count // 25):
                time.sleep(random.uniform(0.2, 0.7) * length)
                process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=300)[1].decode()
            continued += "of an interrupted run" in said
            # A signal may come when the output is there already.
            if out.exists():
                break
            interrupted += 1
            checks.expect(process.returncode == -signal.SIGINT, f"{name}: exit status {process.returncode}: {said}")
        checks.expect(same(out, whole), f"{name}: {interrupted} interruptions changed the output")
        checks.note(f"{name}: {length:.1f} s, {interrupted} interruptions, {continued} runs continued")
        for path in (whole, out):
            path.unlink()
        checks.expect(not tree(folder), f"{name}: left {sorted(tree(folder))}")
