"""What resect reads and refuses, against the readers that others trust, over thousands of files from a seed.

safetensors: exactly what the official library reads, but for the exceptions that `badsafetensors.excepted` names. GGUF:
what llama.cpp reads, whose tensors lie in the file, what gguf-py reads too, and whose text is UTF-8.
"""

import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys

import safetensors

import badgguf
import badsafetensors
from tools import HERE, RESECT, THREADS, folder

COUNT = int(os.environ.get("RESECT_FILES") or 3000)


def check(checks):
    with folder() as work:
        work = pathlib.Path(work)
        with checks.section("safetensors as the library"):
            judge_safetensors(checks, work)
        with checks.section("GGUF as llama.cpp and gguf-py"):
            judge_gguf(checks, work)


def ours(path):
    """The tensors that resect sees; the message when it refuses; the status when it does neither."""
    done = subprocess.run([RESECT, "inspect", path, "--json", "--threads", "1"], capture_output=True,
                          stdin=subprocess.DEVNULL, timeout=60)
    if done.returncode == 0:
        answer = json.loads(done.stdout)
        return {t["name"]: (t["dtype"], t["shape"]) for t in answer["tensors"]}
    if done.returncode == 2 and done.stderr.startswith(b"resect: ") and not done.stdout:
        return done.stderr.decode().splitlines()[0]
    return done.returncode


def judged(paths):
    """What resect says of every path."""
    with concurrent.futures.ThreadPoolExecutor(int(THREADS)) as pool:
        return list(pool.map(ours, paths))


def library(path):
    """The tensors that the official library sees; the message when it refuses."""
    try:
        with safetensors.safe_open(path, "np") as file:
            found = {}
            for name in file.keys():
                part = file.get_slice(name)
                found[name] = part.get_dtype(), list(part.get_shape())
            return found
    except Exception as error:
        return str(error)


def judge_safetensors(checks, work):
    paths = []
    for seed in range(COUNT):
        paths.append(work / f"{seed}.safetensors")
        paths[-1].write_bytes(badsafetensors.make(seed))
    wrong, read, excepted = [], 0, 0
    for path, found in zip(paths, judged(paths)):
        expected = library(path)
        if isinstance(expected, dict) and badsafetensors.excepted(path.read_bytes()):
            excepted += 1
            expected = "an exception"
        read += isinstance(expected, dict)
        same = found == expected if isinstance(expected, dict) else isinstance(found, str)
        if not same:
            wrong.append(f"{path.name}: {found}, expected {expected}")
    checks.equal(f"safetensors: {len(paths)} files are read or refused as the library does", wrong)
    checks.check("safetensors: files of every kind are among them", min(read, len(paths) - read, excepted) > 20,
                 f"{read} read, {len(paths) - read} refused, {excepted} of them by a rule of our own")


def verdicts(paths):
    """What llama.cpp and gguf-py say of every path; `crash` where llama.cpp ends the process."""
    found, left = [], [str(p) for p in paths]
    while left:
        done = subprocess.run([sys.executable, HERE / "ggufjudge.py"], input="\n".join(left) + "\n", capture_output=True,
                              text=True)
        lines = [tuple(line.split(" ", 1)) for line in done.stdout.splitlines()]
        if done.returncode == 0:
            return found + lines
        found += lines + [("crash", "unasked")]
        left = left[len(lines) + 1:]
    return found


# What gguf-py stumbles over in files that are right: a scalar of a type that it keeps as bytes, keys that it uses itself, and
# an empty tensor with a dimension that NumPy cannot have.
STUMBLES = re.compile(r"IndexError:tuple_index_out_of_range|KeyError:'Duplicate_GGUF\.|ValueError:array_is_too_big"
                      r"|ValueError:cannot_reshape_array_of_size_0_into_shape_\((.*,)?0[,)]")


def judge_gguf(checks, work):
    paths = []
    for seed in range(COUNT):
        paths.append(work / f"{seed}.gguf")
        paths[-1].write_bytes(badgguf.make(seed))
    wrong, read, crashes = [], 0, 0
    for path, found, (llama, python) in zip(paths, judged(paths), verdicts(paths)):
        crashes += llama == "crash"
        expected = llama == "yes" and (python == "yes" or STUMBLES.match(python) is not None)
        if isinstance(found, str) and "is not UTF-8 (at byte" in found:
            continue  # gguf-py says so only when it is asked for the text
        read += expected
        if not isinstance(found, dict if expected else str):
            wrong.append(f"{path.name}: {found}, llama.cpp {llama}, gguf-py {python}")
    checks.equal(f"GGUF: {len(paths)} files are read or refused as llama.cpp and gguf-py do", wrong)
    checks.check("GGUF: files of both kinds are among them", min(read, len(paths) - read) > 100,
                 f"{read} read, {len(paths) - read} refused; llama.cpp crashes on {crashes}")
