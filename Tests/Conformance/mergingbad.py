"""`merge` of adapters that are wrong: none is merged. Every one ends with status 2 and one message that names what is wrong, within
the time and memory of a right one, and nothing is written."""

import json
import os
import shutil

from safetensors.torch import load_file, save_file

import adaptermodels
import hostile
from adapterkinds import Kind
from badadapters import ADAPTERS, CONFIG, FOLDER, TENSORS

MEMORY_KIB = 64 * 1024


def check(checks, bases, work):
    right, found, unnamed, most = {}, [], [], 0
    for name, (model, config) in ADAPTERS.items():
        right[name] = adaptermodels.adapter(bases.load(model), Kind(model, config).lora(), work / name)
        said = list(hostile.problems(command(bases, name, right[name], work), work))
        status = hostile.run(command(bases, name, right[name], work))[0]
        checks.check(f"bad adapters: the right one, {name}, is merged", status == 0 and not said, "; ".join(said) or f"status {status}")
        shutil.rmtree(work / "out", ignore_errors=True)
    usual = max(hostile.memory(command(bases, name, path, work)) for name, path in right.items())
    shutil.rmtree(work / "out", ignore_errors=True)
    cases = {**TENSORS, **CONFIG, **FOLDER}
    for label, (name, words, change) in cases.items():
        path = wrong(right[name], work / "wrong", change, label in FOLDER)
        run = command(bases, name, path, work)
        problems = list(hostile.problems(run, work))
        status, _, errors, _ = hostile.run(run)
        message = errors.decode("utf-8", "replace").replace(str(work), "")
        if status != 2:
            problems.append(f"status {status}: {message.strip()[:200]}" if status else "was merged")
        elif missing := [word for word in words.split() if word not in message]:
            unnamed.append(f"{label}: no {' and no '.join(missing)} in {message.strip()[:200]!r}")
        found += [f"{label}: {problem}" for problem in problems]
        shutil.rmtree(work / "out", ignore_errors=True)
        if status == 2:
            most = max(most, hostile.memory(run))
    checks.equal(f"bad adapters: none of {len(cases)} is merged", found)
    checks.equal("bad adapters: every message names what is wrong", unnamed)
    for line in [*found, *unnamed]:
        checks.note(line)
    checks.check("bad adapters: the pickle did not run", not (work / "ran").exists())
    checks.below("bad adapters: memory beyond that of a right one, in KiB", most - usual, MEMORY_KIB, "{:.0f}")
    unopened(checks, bases, right["plain"], work)


def command(bases, name, path, work):
    return ["merge", bases.path(ADAPTERS[name][0]), "-o", work / "out", "--adapter", path]


def wrong(right, path, change, whole):
    """A copy of a right adapter with its fault."""
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(right, path)
    config = json.loads((path / "adapter_config.json").read_text())
    tensors = load_file(path / "adapter_model.safetensors")
    if whole:
        change(path, config, tensors)
    else:
        change(config, tensors)
        (path / "adapter_config.json").write_text(json.dumps(config))
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path / "adapter_model.safetensors",
                  metadata={"format": "pt"})
    return path


def unopened(checks, bases, right, work):
    """The base that an adapter names is never opened: here it is a pipe that would wait for ever, and a path that is not there."""
    pipe = work / "pipe"
    os.mkfifo(pipe)
    for label, name in (("a pipe", str(pipe)), ("a path that is not there", "/nowhere/model"), ("control bytes", "\u001b[31m\n"),
                        ("nothing", None)):
        path = wrong(right, work / "wrong", lambda config, _: config.update(base_model_name_or_path=name), False)
        status, _, errors, seconds = hostile.run(command(bases, "plain", path, work))
        checks.check(f"bad adapters: {label} for base_model_name_or_path is not opened", status == 0 and seconds < hostile.EDIT_SECONDS,
                     f"status {status} after {seconds:.1f} s {errors[:100]!r}")
        shutil.rmtree(work / "out", ignore_errors=True)
