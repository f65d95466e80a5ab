#!/usr/bin/env python3
"""resect and its peers side by side: the same job, two threads each, in turns, the median of the rounds.

    bench.py [--rounds N] [PART ...]     parts: analyze quantize convert experts cut merge hash pack headers
                                         matrices moments cholesky training tokenize

Times are of whole processes, from start to exit, but for PyTorch: there the import and the loading of the
model are left out, which favours the peer. The ratio is resect's time over the peer's: below 1 is faster.
On a busy machine the times on the clock mean little; the ratio of processor times says more.
"""

import argparse
import os
import pathlib
import sys
import tempfile
import traceback

# Threads that spin while they wait take a busy machine's cores from each other: PyTorch then needs many times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "Conformance"))

import adapting  # noqa: E402
import archiving  # noqa: E402
import converting  # noqa: E402
import copying  # noqa: E402
import digests  # noqa: E402
import headers  # noqa: E402
import kernels  # noqa: E402
import matrices  # noqa: E402
import models  # noqa: E402
import passes  # noqa: E402
import quantizing  # noqa: E402
import routing  # noqa: E402
import tokenizing  # noqa: E402
import training  # noqa: E402
from tools import RESECT  # noqa: E402

PARTS = {"analyze": passes.measure, "quantize": quantizing.measure,
         "convert": converting.measure, "experts": routing.measure, "cut": copying.measure, "merge": adapting.measure,
         "hash": digests.measure, "pack": archiving.measure, "headers": headers.measure, "matrices": matrices.measure,
         "moments": kernels.moments, "cholesky": kernels.cholesky, "training": training.measure,
         "tokenize": tokenizing.measure}


def table(rows):
    """The rows as text, in columns."""
    head = ("what", "resect s", "peer", "peer s", "ratio", "of cpu time", "target", "")
    cells = [head]
    for r in rows:
        ratio, of_processor = (ours / theirs for ours, theirs in zip(r["ours"], r["theirs"]))
        verdict = "" if not r["target"] else "ok" if ratio <= r["target"] else "MISSED"
        cells.append((r["what"], f"{r['ours'][0]:.2f}", r["peer"], f"{r['theirs'][0]:.2f}", f"{ratio:.2f}",
                      f"{of_processor:.2f}", f"{r['target']:.2f}" if r["target"] else "-", verdict))
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    number = lambda i: i in (1, 3, 4, 5, 6)
    return "\n".join("  ".join(
        cell.rjust(widths[i]) if number(i) else cell.ljust(widths[i]) for i, cell in enumerate(row)).rstrip()
        for row in cells)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], metavar="PART")
    parser.add_argument("--rounds", type=int, default=6, help="an even number, so that each order counts as often")
    options = parser.parse_args()
    if not os.access(RESECT, os.X_OK):
        sys.exit(f"{RESECT} is not there; build it, or set RESECT")
    models.make()
    rows, failed = [], []
    for name in options.parts or PARTS:
        with tempfile.TemporaryDirectory(prefix="resect-bench-", dir=os.environ.get("TMPDIR")) as work:
            try:
                rows += PARTS[name](pathlib.Path(work), options)
            # A program that fails ends this one with its message, and the other parts still count.
            except (Exception, SystemExit) as error:
                failed.append(name)
                if not isinstance(error, SystemExit):
                    traceback.print_exc()
                print(f"bench: {name} failed: {error}", file=sys.stderr, flush=True)
    if rows:
        print(table(rows))
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
