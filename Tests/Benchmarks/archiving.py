"""`pack` and `unpack` of SmolLM2's weights against zstd: the time, and the size as a share of the file's.

resect syncs what it writes before it renames it and hashes every byte, zstd does neither.
"""

import sys

from models import SMOLLM2, gguf_path
from rounds import THREADS, medians, resect, row, seconds

# The file, and whether the targets are for it: quantized weights are told for comparison.
CASES = [(gguf_path("smollm2"), True), (SMOLLM2, False)]
LARGEST_SHARE = 0.69


def measure(work, options):
    rows = []
    for source, has_target in CASES:
        packed, squeezed, output = work / "x.resect", work / "x.zst", work / "out"
        resect("pack", source, "-o", packed, "--force")
        seconds("zstd", "-3", "-T" + THREADS, "-q", "-f", source, "-o", squeezed)
        shares = [path.stat().st_size / source.stat().st_size for path in (packed, squeezed)]
        verdict = "" if not has_target else "ok" if shares[0] <= LARGEST_SHARE else "MISSED"
        print(f"bench: {source.name}: pack leaves {shares[0]:.3f}, zstd -3 {shares[1]:.3f} {verdict}",
              file=sys.stderr, flush=True)
        found = medians({
            "pack": lambda: resect("pack", source, "-o", output, output=output),
            "zstd -3": lambda: seconds("zstd", "-3", "-T" + THREADS, "-q", source, "-o", output, output=output),
            "unpack": lambda: resect("unpack", packed, "-o", output, output=output),
            "zstd -d": lambda: seconds("zstd", "-d", "-q", squeezed, "-o", output, output=output),
        }, options.rounds)
        rows += [
            row(f"pack {source.name}, {shares[0]:.3f}", found["pack"], f"zstd -3, {shares[1]:.3f}", found["zstd -3"],
                0.6 if has_target else None),
            row(f"unpack {source.name}", found["unpack"], "zstd -d", found["zstd -d"], 0.7 if has_target else None),
        ]
    return rows
