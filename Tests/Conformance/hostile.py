"""Thousands of small lies in tiny models, each through several commands: always an answer, never a crash.

    hostile.py [COUNT [SEED]]     alone, without the other peers

A lie is one value, one length or a few bytes of a header, a configuration or a tokenizer. Every command must end with status 0, 1
or 2, say at most one error with its hint, write no control bytes, leave nothing behind when it fails, and stay within its time
and memory.
"""

import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import time

import tinymodels
from checks import Checks
from tools import RESECT, folder

COUNT = 2500
INSPECT_SECONDS, EDIT_SECONDS, MEMORY_KIB = 1, 10, 64 * 1024
NUMBERS = [0, 1, -1, 2, 3, 7, 64, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**63 - 1, -2**63, 2**64, 0.5, -0.5, 1e300, -1e300]
VALUES = [None, True, False, "", "text", "llama3", "yarn", "1", "a%s%n%d", "\u001b[31m\u009b\u0000\n", "e\u0301", [], [[]],
          {}, [0] * 3, ["a"] * 3, {"a": 1}]
RAW = ["1e400", "-1e400", "1E-400", "NaN", "9" * 400, "[" * 50_000, '{"a":' * 50_000, "\"\\ud800\"", "\"\u00e9\"", "-0"]
KEYS = ["rope_scaling", "rope_parameters", "sliding_window", "layer_types", "num_nextn_predict_layers", "rope_theta",
        "partial_rotary_factor", "max_window_layers", "sliding_window_pattern", "mlp_only_layers", "num_local_experts"]
GGUF_KEYS = ["general.alignment", "split.count", "split.no", "llama.rope.scaling.type", "llama.rope.scaling.factor",
             "llama.rope.scaling.original_context_length", "llama.expert_count", "llama.rope.dimension_count",
             "llama.leading_dense_block_count", "llama.attention.sliding_window_pattern", "tokenizer.ggml.scores"]
WORDS = {"I": [0, 1, 2**31, 2**32 - 1], "i": [0, -1, -2**31], "Q": [0, 2**63, 2**64 - 1], "q": [-1, -2**63, 2**63 - 1],
         "f": [0.0, -1.0, float("nan"), float("inf"), 3e38, 1e-45], "d": [float("nan"), 1e300, -1e300], "B": [0, 255]}


class Mutator:
    """Makes lies; the same ones for the same seed."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def value(self):
        return self.random.choice([self.random.choice(NUMBERS), self.random.choice(VALUES)])

    def tree(self, value, keys=()):
        """A JSON value with one node replaced, removed, renamed or added."""
        if isinstance(value, dict) and value and self.random.random() < 0.85:
            result = dict(value)
            key = self.random.choice(list(result))
            action = self.random.random()
            if action < 0.7:
                result[key] = self.tree(result[key])
            elif action < 0.8:
                del result[key]
            elif action < 0.9 and keys:
                result[self.random.choice(keys)] = self.value()
            else:
                result = {self.name(k) if k == key else k: v for k, v in result.items()}
            return result
        if isinstance(value, list) and value and self.random.random() < 0.7:
            result = list(value)
            place = self.random.randrange(len(result))
            result[place:place + 1] = [self.tree(result[place])] * self.random.choice([0, 1, 1, 1, 2])
            return result
        return self.value()

    def name(self, name):
        """A name that is nearly the same."""
        return self.random.choice([name + "\u0301", name.replace("0", "\u0660"), name + "%n", name + "\u001b[2J\u009b", "",
                                   name.replace("1", "4294967296"), name.replace("0", "00"), "x" * 300 + name])

    def bytes(self, data, limit):
        """A few bytes of the first `limit` changed, cut out, put in twice, or the end cut off."""
        data = bytearray(data)
        for _ in range(self.random.choice([1, 1, 1, 2, 4])):
            place = self.random.randrange(max(1, min(limit, len(data))))
            action = self.random.random()
            if action < 0.6:
                data[place:place + 1] = bytes([self.random.choice([0, 1, 0x22, 0x5B, 0x7F, 0x80, 0xFF, self.random.randrange(256)])])
            elif action < 0.75:
                data[place:place + 8] = self.random.choice([0, 1, 2**31, 2**63 - 1, 2**64 - 1, len(data)]).to_bytes(8, "little")
            elif action < 0.85:
                del data[place:place + self.random.randrange(1, 9)]
            elif action < 0.95:
                data[place:place] = data[place:place + self.random.randrange(1, 33)]
            else:
                del data[place:]
        return bytes(data)

    def text(self, value, keys=()):
        """The text of a JSON value with a lie in it."""
        action = self.random.random()
        if action < 0.7:
            return json.dumps(self.tree(value, keys), ensure_ascii=self.random.random() < 0.5).encode("utf-8", "surrogatepass")
        text = json.dumps(value).encode()
        if action < 0.85:
            return self.bytes(text, len(text))
        marked = json.dumps(self.mark(value))
        return marked.replace('"MARK"', self.random.choice(RAW), 1).encode()

    def mark(self, value):
        """The value with one node replaced by a mark, for what Python cannot write."""
        if isinstance(value, dict) and value:
            key = self.random.choice(list(value))
            return {k: self.mark(v) if k == key else v for k, v in value.items()}
        if isinstance(value, list) and value:
            place = self.random.randrange(len(value))
            return [self.mark(v) if n == place else v for n, v in enumerate(value)]
        return "MARK"

    def gguf(self, model):
        """A GGUF file with another pair, tensor or byte."""
        action = self.random.random()
        if action < 0.35:
            data = tinymodels.gguf(*model)
            return self.bytes(data, len(data) - sum(size for *_, size in model[1]))
        pairs, tensors = dict(model[0]), list(model[1])
        if action < 0.75:
            key = self.random.choice(list(pairs) + GGUF_KEYS)
            kind = self.random.choice(list(WORDS))
            number = (kind, self.random.choice(WORDS[kind]))
            old = pairs.get(key)
            pairs[key] = self.random.choice([
                number, number, number, "", "text\u001b", "a%n", True, [number] * 3, ["", "x"], [number] * 70,
                old[:-1] if isinstance(old, list) and len(old) > 1 else number])
            if self.random.random() < 0.1:
                del pairs[key]
        else:
            place = self.random.randrange(len(tensors))
            name, kind, shape, size = tensors[place]
            lie = self.random.randrange(4)
            tensors[place] = (
                self.name(name) if lie == 0 else name, self.random.randrange(42) if lie == 1 else kind,
                self.random.choice([[], [0], shape[::-1], [1, *shape], [2**62, 2**62], [2**32, 2**31], [2**63 - 1], shape + [0]])
                if lie == 2 else shape, self.random.choice([0, size // 2, size + 64]) if lie == 3 else size)
        return tinymodels.gguf(pairs, tensors)


def commands(model, work, rng):
    """What is run on a model: inspect, and two of the others."""
    text = work / "text.txt"
    small = ["--context", "8", "--samples", "2"]
    others = [
        ["inspect", model, "--json"], ["cut", model, "-o", work / "out", "--layers", "0:1"],
        ["cut", model, "-o", work / "out.gguf", "--layers", "1:2"], ["convert", model, "-o", work / "out.gguf"],
        ["convert", model, "-o", work / "out", "--dtype", "f16"], ["convert", model, "-o", work / "out.safetensors"],
        ["quantize", model, "-o", work / "out.gguf", "--type", rng.choice(["Q4_K_M", "Q8_0", "BF16"])],
        ["analyze", model, "--corpus", text, "-o", work / "out.json", *small],
        ["evaluate", model, "--corpus", text, *small], ["tokenize", model, "--text", text],
        ["shrink", model, "-o", work / "out.gguf", "--corpus", text, "--drop", "1", "--type", "Q8_0", *small]]
    return [["inspect", model, "--tensors", "--metadata"], *rng.sample(others, 2)]


def run(command):
    """Runs a command: its status (negative for a signal), streams, seconds, and most memory in KiB."""
    limit = 4 * EDIT_SECONDS
    start = time.monotonic()
    with subprocess.Popen([RESECT, *map(str, command), "--quiet"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env={**os.environ, "SWIFT_BACKTRACE": "enable=no"}) as process:
        try:
            output, errors = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            process.kill()
            output, errors = process.communicate()
    return process.returncode, output, errors, time.monotonic() - start


def memory(command):
    """The most memory that a command had resident, in KiB; files that are mapped count too."""
    null = os.open(os.devnull, os.O_RDWR)
    pid = os.posix_spawn(RESECT, [RESECT, *map(str, command), "--quiet"], os.environ,
                         file_actions=[(os.POSIX_SPAWN_DUP2, null, n) for n in range(3)])
    os.close(null)
    return os.wait4(pid, 0)[2].ru_maxrss


def problems(command, work):
    """What is wrong with how a command ended."""
    before = {path: path.stat().st_mtime_ns for path in work.iterdir()}
    status, output, errors, seconds = run(command)
    if status not in (0, 1, 2):
        yield f"ended with status {status}: {errors[-200:]!r}"
    limit = INSPECT_SECONDS if command[0] == "inspect" else EDIT_SECONDS
    if seconds > limit and command[0] == "inspect":
        # A machine that was busy elsewhere is not slow twice.
        seconds = min(seconds, run(command)[3])
    if seconds > limit:
        yield f"took {seconds:.1f} s"
    lines = errors.decode("utf-8", "replace").splitlines()
    if status == 2 and not (lines and all(line.startswith("resect: ") for line in lines)
                            and len([line for line in lines if not line.startswith("resect: hint: ")]) == 1):
        yield f"said {errors[:300]!r}"
    for name, stream in (("output", output), ("errors", errors)):
        try:
            text = stream.decode()
        except UnicodeDecodeError:
            yield f"wrote {name} that are not UTF-8"
            continue
        if any(ord(c) < 32 and c != "\n" or 0x7F <= ord(c) < 0xA0 for c in text):
            yield f"wrote control bytes to its {name}"
    left = [path.name for path in work.iterdir() if path not in before]
    if status != 0 and left:
        yield f"left {left} behind"
    for name in left:
        path = work / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def lies(mutator, work):
    """One model with a lie in it; gives its path."""
    model = work / "model"
    shutil.rmtree(model, ignore_errors=True)
    kind = mutator.random.choice(["config", "config", "tokenizer", "settings", "index", "safetensors", "gguf", "gguf", "gguf"])
    if kind == "gguf":
        path = work / "model.gguf"
        path.write_bytes(mutator.gguf(tinymodels.LLAMA_GGUF))
        return path
    tinymodels.save_folder(model)
    files = {"config": "config.json", "tokenizer": "tokenizer.json", "settings": "tokenizer_config.json",
             "index": "model.safetensors.index.json"}
    if kind in files:
        path = model / files[kind]
        path.write_bytes(mutator.text(json.loads(path.read_bytes()), KEYS))
    else:
        path = model / "model.safetensors"
        data = path.read_bytes()
        start = 8 + int.from_bytes(data[:8], "little")
        if mutator.random.random() < 0.5:
            path.write_bytes(mutator.bytes(data, start))
        else:
            text = mutator.text(json.loads(data[8:start]), ["__metadata__"])
            path.write_bytes(len(text).to_bytes(8, "little") + text + data[start:])
    return mutator.random.choice([model, model, path]) if kind == "safetensors" else model


def check(checks, count=COUNT, seed=1):
    keep = os.environ.get("RESECT_KEEP")
    with folder("resect-hostile-") as base:
        work = pathlib.Path(base)
        (work / "text.txt").write_text("the in the\n\nin  the <s> in " * 40)
        tinymodels.save_folder(work / "right")
        known = {tuple(c[0:1]): memory(c) for c in
                 commands(work / "right", work, random.Random(0)) + [["inspect", work / "right"]]}
        base_kib = max(known.values())
        for path in work.glob("out*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        found, runs, most = [], 0, 0
        for number in range(count):
            mutator = Mutator(f"{seed}.{number}")
            model = lies(mutator, work)
            for command in commands(model, work, mutator.random):
                wrong = list(problems(command, work))
                runs += 1
                if number % 5 == 0:
                    most = max(most, memory(command))
                    for path in work.glob("out*"):
                        shutil.rmtree(path) if path.is_dir() else path.unlink()
                if wrong:
                    words = " ".join(map(str, command)).replace(base + "/", "")
                    found.append(f"lie {seed}.{number}: {words}: {'; '.join(wrong)}")
                    if keep:
                        target = pathlib.Path(keep) / f"{seed}.{number}"
                        if not target.exists():
                            target.parent.mkdir(parents=True, exist_ok=True)
                            (shutil.copytree if model.is_dir() else shutil.copy)(model, target)
        checks.equal(f"hostile: {runs} commands on {count} models with a lie each", found)
        if len(found) > 3:
            for line in found[3:40]:
                checks.note(line)
        checks.below("hostile: memory beyond that of the model without a lie, in KiB", most - base_kib, MEMORY_KIB, "{:.0f}")


if __name__ == "__main__":
    record = Checks()
    check(record, *map(int, sys.argv[1:]))
    sys.exit(record.finish())
