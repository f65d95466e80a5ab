"""The program, models of any size, and the count of checks."""

import json
import os
import pathlib
import struct
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
RESECT = os.environ.get("RESECT", str(ROOT / ".build/release/resect"))
MODEL = ROOT / "fixtures/kjv-7m"


class Checks:
    def __init__(self):
        self.passed = 0
        self.failed = 0

    def expect(self, condition, what):
        if condition:
            self.passed += 1
        else:
            self.failed += 1
            print(f"  FAILED: {what}", flush=True)
        return condition

    def note(self, text):
        print(f"  {text}", flush=True)


def run(*arguments, timeout=120, **options):
    """Runs the program to its end; gives the status and what it said."""
    done = subprocess.run([RESECT, *map(str, arguments)], capture_output=True, text=True, timeout=timeout, **options)
    return done.returncode, done.stdout + done.stderr


def start(*arguments, **options):
    return subprocess.Popen([RESECT, *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)


def model(path, layers, rows, columns, sparse=False):
    """A safetensors file of bf16 layers: seeded noise, or nothing but a hole."""
    header, offset = {}, 0
    size = 2 * rows * columns
    for layer in range(layers):
        name = f"model.layers.{layer}.mlp.up_proj.weight"
        header[name] = {"dtype": "BF16", "shape": [rows, columns], "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        if sparse:
            file.truncate(8 + len(text) + offset)
        else:
            noise = bytearray(os.urandom(size))
            noise[1::2] = bytes([0x3C]) * (size // 2)
            for layer in range(layers):
                noise[0] = layer
                file.write(noise)
    return path


def tree(folder):
    """Every path below a folder, with the size of files."""
    found = {}
    for base, folders, files in os.walk(folder):
        for name in folders:
            found[os.path.relpath(os.path.join(base, name), folder)] = None
        for name in files:
            path = os.path.join(base, name)
            found[os.path.relpath(path, folder)] = os.lstat(path).st_size
    return found


def same(a, b):
    """Whether two files, or two folders of files, have the same bytes."""
    return subprocess.run(["diff", "-rq", str(a), str(b)], capture_output=True).returncode == 0
