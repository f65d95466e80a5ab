#!/usr/bin/env python3
"""Holds resect to real peers on real models. One line a check, then the count; exit status 1 if any failed.

    conformance.py [PART ...]     all parts, or those named, in this order:
        tokens decoding acceptance containers sharding pytorch packing hashing conversion quantization mixtures encoders
        importance divergence forms floats cuts merging adapters trained classes ggufclasses families gemma realmodels
        distances extraction perplexity generation lora shrinking provenance healing memory hostile

After $CONFORMANCE_SECONDS no other part is begun; those left out are named.
The program is $RESECT, or the release build of this repository. The peers are in the cache that peers.sh fills.
"""

import importlib
import os
import sys
import time

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # the peers' threads sleep while they wait, on busy machines

import models  # noqa: E402
from checks import Checks  # noqa: E402
from tools import RESECT  # noqa: E402

PARTS = ("tokens", "decoding", "acceptance", "containers", "sharding", "pytorch", "packing", "hashing", "conversion",
         "quantization", "mixtures", "encoders", "importance", "divergence", "forms", "floats", "cuts", "merging", "adapters",
         "trained", "classes", "ggufclasses", "families", "gemma", "realmodels", "distances", "extraction", "perplexity",
         "generation", "lora", "shrinking", "provenance", "healing", "memory", "hostile")


def main(names):
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        sys.exit(f"unknown part: {' '.join(unknown)}\n\n{__doc__}")
    if not os.access(RESECT, os.X_OK):
        sys.exit(f"{RESECT} is not there; build it, or set RESECT")
    models.make()
    checks = Checks()
    began = time.monotonic()
    limit = float(os.environ.get("CONFORMANCE_SECONDS", "inf"))
    for name in PARTS:
        if not names or name in names:
            start = time.monotonic()
            if start - began > limit:
                checks.note(f"{name} was left out: {limit:.0f} s are over")
                continue
            with checks.section(name):
                importlib.import_module(name).check(checks)
            checks.note(f"{name} took {time.monotonic() - start:.0f} s")
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
