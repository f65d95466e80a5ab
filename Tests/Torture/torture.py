"""What happens to files when everything goes wrong: kills, signals, full disks, inputs that change, devices.

    python3 torture.py [--kills 200] [PART ...]

Needs nothing but Python and the program; the full disk and the lost permissions need root and a loop device, and are left out
with a note elsewhere. Ends with status 1 when a check fails.
"""

import argparse
import os
import pathlib
import random
import shutil
import sys
import tempfile

from machine import Checks
import disks
import kills
import measuring
import sources

PARTS = {
    "kills": kills.kills,
    "signals": kills.signals,
    "measuring": measuring.measuring,
    "truncation": sources.truncation,
    "inputs": sources.inputs,
    "permissions": disks.permissions,
    "disk": disks.full_disk,
    "limit": disks.size_limit,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=" ".join(PARTS))
    parser.add_argument("--kills", type=int, default=200, help="how many runs are killed for each command")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    unknown = [name for name in options.parts if name not in PARTS]
    if unknown:
        parser.error(f"no such part: {' '.join(unknown)}")
    random.seed(options.seed)
    checks = Checks()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="resect-torture-", dir=os.environ.get("TMPDIR", "/var/tmp")))
    try:
        for name in options.parts or PARTS:
            place = folder / name
            place.mkdir()
            print(f"{name}:", flush=True)
            PARTS[name](checks, place, options.kills)
            shutil.rmtree(place, ignore_errors=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{checks.passed} passed, {checks.failed} failed")
    sys.exit(1 if checks.failed else 0)


if __name__ == "__main__":
    main()
