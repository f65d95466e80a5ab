"""Takes turns: every contender once a round, the order turned round each time, one round first that does not count."""

import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import time

from tools import RESECT

THREADS = "2"


def medians(contenders, rounds):
    """The median times of each contender. A contender is a name and a function that gives its two times:
    seconds on the clock, and seconds of processor time, which another load on the machine changes less."""
    times = {name: [] for name in contenders}
    for number in range(rounds + 1):
        order = list(contenders)
        if number % 2:
            order.reverse()
        for name in order:
            wall, processor = contenders[name]()
            if number:
                times[name].append((wall, processor))
            print(f"bench: round {number} {name}: {wall:.2f} s, processor {processor:.2f} s",
                  file=sys.stderr, flush=True)
    return {name: tuple(map(statistics.median, zip(*values))) for name, values in times.items()}


def children():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def seconds(*command, output=None):
    """The times of a process from start to exit. Its output file or folder is removed before and after."""
    remove(output)
    before, start = children(), time.monotonic()
    done = subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE)
    result = time.monotonic() - start, children() - before
    if done.returncode != 0:
        sys.exit(f"{command[0]}: exit status {done.returncode}: {done.stderr.decode('utf-8', 'replace')[-500:]}")
    remove(output)
    return result


def resect(*arguments, output=None):
    """The times of the program under test."""
    return seconds(RESECT, *arguments, "--quiet", "--threads", THREADS, output=output)


def remove(path):
    """Removes a file or a folder, and waits until the disk has it, so that the next run does not pay for it."""
    if path is None:
        return
    path = pathlib.Path(path)
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    os.sync()


def row(what, ours, peer, theirs, target=None):
    return dict(what=what, ours=ours, peer=peer, theirs=theirs, target=target)
