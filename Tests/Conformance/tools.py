"""Where things are, and how to run them: the program under test, the peers, the fixture."""

import json
import os
import pathlib
import subprocess
import tempfile

os.environ.setdefault("TQDM_DISABLE", "1")  # no progress bars of the peers between the checks
HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CACHE = pathlib.Path(
    os.environ.get("RESECT_CACHE")
    or pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "resect")
RESECT = os.environ.get("RESECT") or str(ROOT / ".build" / "release" / "resect")
LLAMA = CACHE / "llama-build" / "bin"
FIXTURE = ROOT / "fixtures" / "kjv-7m"
CALIBRATION = ROOT / "fixtures" / "calibration.txt"
EVALUATION = ROOT / "fixtures" / "evaluation.txt"
THREADS = str(os.cpu_count() or 2)
RECORDED = ("cut", "heal", "merge", "shrink")  # commands whose outputs say how they were made by default


class Failed(Exception):
    """A command that ended with a status other than 0: what it was and what it said last."""


def failure(command, status, text):
    """The error of a command that failed: the crash that it reports, or its last words."""
    lines = text.strip().splitlines()
    words = [line for line in lines if "crashed" in line] or lines[-3:]
    return Failed(f"{pathlib.Path(command[0]).name} {' '.join(map(str, command[1:]))}: "
                  f"exit status {status}: {' | '.join(words)}")


def run(command, said=""):
    """Runs a command and gives its standard output; raises `Failed` unless it ends well. `said` is what it is told."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, input=said)
    if done.returncode != 0:
        raise failure(command, done.returncode, done.stderr or done.stdout)
    return done.stdout


def resect(*arguments, threads=THREADS):
    """Runs the program under test, quietly. Outputs say how they were made only where a check asks for it: peers write no such
    thing, and two ways to the same model have two histories."""
    switch = ["--no-provenance"] if arguments[0] in RECORDED and "--provenance" not in arguments else []
    return run([RESECT, *arguments, *switch, "--quiet", "--threads", threads])


def resect_json(*arguments, threads=THREADS):
    """The object that the program under test prints with `--json`."""
    return json.loads(resect(*arguments, "--json", threads=threads))


def llama(tool, *arguments):
    """Runs a tool of llama.cpp; its answer may be on either stream, so that both are given."""
    command = [str(c) for c in (LLAMA / tool, *arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL)
    text = done.stdout.decode("utf-8", "replace")
    if done.returncode != 0:
        raise failure(command, done.returncode, text)
    return text


def generate(path, prompt, tokens):
    """The most likely continuation of a prompt, by llama.cpp."""
    said = run([LLAMA / "llama-completion", "-m", path, "-p", prompt, "-n", tokens, "-t", THREADS,
                "-no-cnv", "--temp", 0, "--no-display-prompt"])
    return said.strip()


def folder(prefix="resect-"):
    """A temporary folder, removed with everything in it when its `with` ends."""
    return tempfile.TemporaryDirectory(prefix=prefix, dir=os.environ.get("TMPDIR"))
