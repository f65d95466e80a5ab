"""Runs that end before they are done: by kill -9 at any moment, and by the signals that a program is told of."""

import os
import random
import shutil
import signal
import time

from machine import MODEL, model, run, same, start, tree


def commands(folder):
    """What is killed: a command with its output, long enough to be hit in the middle."""
    big = model(folder / "big.safetensors", 24, 4096, 4096)
    gguf = folder / "small.gguf"
    assert run("convert", MODEL, "-o", gguf)[0] == 0
    return [
        ("cut", ["cut", big, "--layers", "3:5"], "out.safetensors", True),
        ("cut a folder", ["cut", MODEL, "--layers", "3:5"], "folder", True),
        ("quantize", ["quantize", big.with_name("quantizable.gguf"), "--type", "Q4_K_M"], "out.gguf", True),
        ("pack", ["pack", gguf], "out.resect", False),
    ]


def quantizable(folder):
    """A GGUF of a gigabyte or so: the fixture's layers are too small to be hit."""
    import struct

    rows, columns, layers = 4096, 2048, 16
    size = 2 * rows * columns
    def text(value):
        return struct.pack("<Q", len(value)) + value.encode()
    pairs = text("general.architecture") + struct.pack("<I", 8) + text("toy")
    pairs += text("toy.block_count") + struct.pack("<II", 4, layers)
    tensors = b""
    for layer in range(layers):
        tensors += text(f"blk.{layer}.ffn_up.weight") + struct.pack("<IQQIQ", 2, columns, rows, 30, layer * size)
    header = b"GGUF" + struct.pack("<IQQ", 3, layers, 2) + pairs + tensors
    header += b"\0" * (-len(header) % 32)
    noise = bytearray(os.urandom(size))
    noise[1::2] = bytes([0x3C]) * (size // 2)
    with open(folder / "quantizable.gguf", "wb") as file:
        file.write(header)
        for layer in range(layers):
            file.write(noise)


def kills(checks, folder, count):
    quantizable(folder)
    for name, arguments, output, resumes in commands(folder):
        expected = folder / ("expected-" + output)
        started = time.monotonic()
        status, said = run(*arguments, "-o", expected)
        length = time.monotonic() - started
        if not checks.expect(status == 0, f"{name}: {said}"):
            continue
        place = folder / "place"
        place.mkdir()
        out = place / output
        wrong = resumed = finished = 0
        for _ in range(count):
            process = start(*arguments, "-o", out)
            time.sleep(random.uniform(0, length * 1.05))
            process.kill()
            process.wait()
            if out.exists():
                finished += 1
                wrong += not same(out, expected)
                remove(out)
            if resumes and random.random() < 0.25:
                status, said = run(*arguments, "-o", out, "--resume")
                resumed += 1
                checks.expect(status == 0 and same(out, expected), f"{name} --resume: {said}")
                remove(out)
        checks.expect(wrong == 0, f"{name}: {wrong} outputs under the final name were not right")
        status, said = run(*arguments, "-o", out)
        checks.expect(status == 0 and same(out, expected), f"{name} after {count} kills: {said}")
        checks.expect(len(os.listdir(place)) == 1, f"{name}: left {sorted(os.listdir(place))}")
        checks.note(f"{name}: {count} kills within {length:.2f} s, {finished} had finished, {resumed} resumed")
        shutil.rmtree(place)
        remove(expected)


def remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    elif path.exists():
        path.unlink()


def signals(checks, folder, count):
    quantizable(folder)
    slowest = 0.0
    before = tree(folder)
    for number in [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]:
        for _ in range(max(3, count // 20)):
            process = start("quantize", folder / "quantizable.gguf", "-o", folder / "out.gguf", "--type", "Q4_K_M", "--threads", "1")
            while process.poll() is None and len(os.listdir(folder)) == len(before):
                time.sleep(0.001)
            time.sleep(random.uniform(0, 0.05))
            sent = time.monotonic()
            process.send_signal(number)
            status = process.wait(timeout=10)
            slowest = max(slowest, time.monotonic() - sent)
            checks.expect(status == -number, f"{number.name}: exit status {status}")
            checks.expect(tree(folder) == before, f"{number.name}: left {sorted(set(tree(folder)) - set(before))}")
    checks.expect(slowest < 1, f"gone only after {slowest:.2f} s")
    checks.note(f"gone within {slowest * 1000:.0f} ms, nothing left")
