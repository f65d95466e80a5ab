"""Disks that fill up, folders that lose their permissions, and limits on the size of a file."""

import os
import resource
import subprocess
import time

from kills import quantizable
from machine import MODEL, RESECT, model, run, start, tree


def mounted(checks, folder, size, kind="ext4"):
    """A small file system on a loop device; None where that cannot be had."""
    image, place = folder / f"{kind}.img", folder / kind
    place.mkdir()
    with open(image, "wb") as file:
        file.truncate(size)
    made = subprocess.run([f"mkfs.{kind}", "-q", str(image)], capture_output=True)
    if made.returncode == 0:
        made = subprocess.run(["mount", "-o", "loop", str(image), str(place)], capture_output=True)
    if made.returncode != 0:
        checks.note(f"left out: no {kind} can be mounted here")
        return None
    return place


def full_disk(checks, folder, count):
    place = mounted(checks, folder, 64 << 20)
    if place is None:
        return
    try:
        source = model(folder / "in.safetensors", 8, 2048, 2048)
        old = place / "out.safetensors"
        old.write_text("as it was")
        status, said = run("cut", source, "-o", old, "--layers", "0:1", "--force")
        checks.expect(status == 2 and "needs" in said and "free" in said, f"no space: status {status}: {said}")
        checks.expect(old.read_text() == "as it was", "the old output is not as it was")
        # The space is there when the run begins, and then somebody else takes it.
        quantizable(folder)
        for attempt in range(5):
            before = set(tree(place))
            filler = place / "filler"
            process = start("quantize", folder / "quantizable.gguf", "-o", place / "q.gguf", "--type", "Q8_0")
            time.sleep(0.02 * attempt)
            with open(filler, "wb") as file:
                try:
                    os.posix_fallocate(file.fileno(), 0, 50 << 20)
                except OSError:
                    pass
            status = process.wait(timeout=60)
            filler.unlink()
            checks.expect(status == 2, f"a disk that fills up: status {status}")
            checks.expect(set(tree(place)) == before, f"left {sorted(set(tree(place)) - before)}")
        # A pipe that no disk can keep.
        with open(folder / "quantizable.gguf", "rb") as file:
            piped = file.read()
        done = subprocess.run(
            [RESECT, "inspect", "-"], input=piped, capture_output=True,
            env={**os.environ, "TMPDIR": str(place)})
        checks.expect(done.returncode == 2 and b"cannot be kept" in done.stderr, f"a pipe: {done.stderr.decode()}")
        checks.note("no space: the numbers are said, the old output is intact, nothing is left")
    finally:
        subprocess.run(["umount", str(place)])


def size_limit(checks, folder, count):
    source = model(folder / "in.safetensors", 8, 1024, 1024)
    before = set(tree(folder))
    status, said = run(
        "cut", source, "-o", folder / "out.safetensors", "--layers", "0:1",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)))
    checks.expect(status == 2 and "no space" in said, f"a limit of file sizes: status {status}: {said}")
    checks.expect(set(tree(folder)) == before, "something was left")


def permissions(checks, folder, count):
    """The folder of the output can no longer be written to; root may do anything, so another user runs."""
    if os.geteuid() != 0:
        checks.note("left out: needs root, to become somebody else")
        return
    os.chmod(folder.parent, 0o755)
    os.chmod(folder, 0o755)
    source = model(folder / "in.safetensors", 24, 4096, 4096)
    place = folder / "place"
    place.mkdir()
    os.chown(place, 65534, 65534)

    def become():
        os.setgid(65534)
        os.setuid(65534)

    for attempt in range(8):
        process = start("cut", source, "-o", place / "out.safetensors", "--layers", "0:1", preexec_fn=become)
        time.sleep(0.05 * attempt)
        os.chmod(place, 0o555)
        status = process.wait(timeout=60)
        os.chmod(place, 0o755)
        final = place / "out.safetensors"
        if status == 0:
            checks.expect(run("inspect", final)[0] == 0, "an output that cannot be read")
            final.unlink()
        else:
            checks.expect(status == 2, f"lost permissions: status {status}")
            checks.expect(not final.exists(), "an unfinished output has the final name")
        for name in os.listdir(place):
            checks.expect(name.startswith(".out"), f"left {name}")
            os.unlink(place / name)
    checks.note("a folder that is closed meanwhile: status 2, no file under the final name")
