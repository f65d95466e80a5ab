"""The kernels of a heal: moments against the machine's product peak, Cholesky's factor against OpenBLAS, both in one process
each with two threads. The program is built here: the command has nothing that runs them alone.

The peak is OpenBLAS's product in f32 of as many operations; 0.7 of it is a ratio of 1 / 0.7.
"""

import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "Conformance"))

from rounds import THREADS, medians, row  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Rows, inputs and outputs of an MLP's output product in SmolLM2 and in a model of 1B; sizes of matrices.
MOMENTS = ((8192, 1536, 576), (4096, 5632, 2048))
SIZES = (1536, 4096)
RUNS = 4


def program():
    build = ["swift", "build", "-c", "release", "--package-path", ROOT]
    environment = os.environ | {"RESECT_BENCH": "1"}
    subprocess.run([*build, "--product", "kernel-bench"], check=True, env=environment, stdout=subprocess.DEVNULL)
    shown = subprocess.run([*build, "--show-bin-path"], check=True, env=environment, capture_output=True, text=True)
    return pathlib.Path(shown.stdout.strip()) / "kernel-bench"


def times(*command):
    said = subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True,
                          env=os.environ | {"OPENBLAS_NUM_THREADS": THREADS}).stdout
    return tuple(float(number) for number in said.split())


def peer(code):
    """The times of a line of numpy in a process of its own, the mean of several runs."""
    script = f"""
import time
import numpy as np
{code[0]}
{code[1]}
start = time.monotonic(), time.process_time()
for _ in range({RUNS}):
    {code[1]}
print((time.monotonic() - start[0]) / {RUNS}, (time.process_time() - start[1]) / {RUNS})
"""
    return times(sys.executable, "-c", script)


def moments(work, options):
    ours, rows = program(), []
    for count, inputs, outputs in MOMENTS:
        # Of x'x only one half is computed.
        columns = inputs // 2 + outputs
        product = (f"a, b = np.ones(({inputs}, {count}), np.float32), np.ones(({count}, {columns}), np.float32)", "a @ b")
        found = medians({"moments": lambda: times(ours, "moments", count, inputs, outputs, THREADS),
                         "peak": lambda: peer(product)}, options.rounds)
        rows.append(row(f"moments of {count:,} rows, {inputs:,} and {outputs:,} columns", found["moments"], "f32 product",
                        found["peak"], 1 / 0.7))
    return rows


def cholesky(work, options):
    ours, rows = program(), []
    for size in SIZES:
        code = (f"x = np.random.default_rng(0).standard_normal(({size}, {size}))\na = x @ x.T + {size} * np.eye({size})",
                "np.linalg.cholesky(a)")
        found = medians({"factor": lambda: times(ours, "cholesky", size, THREADS), "OpenBLAS": lambda: peer(code)},
                        options.rounds)
        rows.append(row(f"Cholesky factor of {size:,} x {size:,}", found["factor"], "OpenBLAS", found["OpenBLAS"], 2.0))
    return rows
