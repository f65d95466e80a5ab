"""`hash`, `verify` and `diff` against llama-gguf-hash, llama.cpp's converter and quantizer, gguf-py and NumPy."""

import json
import re
import subprocess

import gguf
import numpy as np
from safetensors import safe_open

import models
from tools import FIXTURE, LLAMA, RESECT, folder, resect, resect_json, run

# Real models in every type that the converter makes, and one that is quantized.
FILES = [models.gguf_path(name, outtype) for name in models.SOURCES for outtype in models.TYPES] + [models.SMOLLM2]


def status(*arguments):
    """The exit status of the program, whatever it is."""
    return subprocess.run([RESECT, *map(str, arguments), "--quiet"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          stdin=subprocess.DEVNULL).returncode


def decoded(tensor):
    """A tensor of a GGUF in f32."""
    return gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)


def hashes(checks):
    tool = LLAMA / "llama-gguf-hash"
    if not tool.exists():
        checks.check("llama-gguf-hash is built", False, str(tool))
        return
    for path in FILES:
        ours = resect("hash", path, "--algorithm", "xxh64")
        checks.check(f"{path.name}: the lines of llama-gguf-hash --xxh64", ours == run([tool, "--xxh64", path]))
    with folder() as work:
        # What is printed is a manifest that the peer takes.
        manifest = f"{work}/manifest.txt"
        with open(manifest, "w", encoding="utf-8") as file:
            file.write(resect("hash", FILES[0], "--algorithm", "xxh64"))
        said = run([tool, "--xxh64", "--check", manifest, FILES[0]])
        checks.check("llama-gguf-hash --check takes them as its manifest", said.count("-  Ok") == said.count("xxh64 "),
                     said.strip().rsplit(" - ", 1)[-1])


def verified(checks):
    sources = {name: source for name, (source, _) in models.SOURCES.items()}
    with folder() as work:
        for name, source in sources.items():
            manifest = f"{work}/{name}.json"
            resect("hash", source, "-o", manifest)
            for outtype in models.TYPES:
                path = models.gguf_path(name, outtype)
                # f16 holds fewer exponents: whether the values survived is NumPy's to say.
                same = values_survive(source, path, outtype)
                for against in (source, manifest):
                    found = status("verify", path, against)
                    kind = "folder" if against == source else "manifest"
                    checks.check(f"{name}: {outtype} by llama.cpp against the {kind}", found == (0 if same else 1),
                                 f"exit {found}, values {'survive' if same else 'do not survive'}")


def values_survive(source, path, outtype):
    """Whether every weight of a folder in bf16 has its value in the type."""
    if outtype != "f16":
        return True
    for file in sorted(source.glob("*.safetensors")):
        with safe_open(file, "pt") as tensors:
            for name in tensors.keys():
                wide = tensors.get_tensor(name).float().numpy()
                if wide.ndim > 1 and not np.array_equal(wide.astype(np.float16).astype(np.float32), wide):
                    return False
    return True


def distances(checks):
    """The figures of a quantization by llama-quantize, recomputed from gguf-py's decoding."""
    before, after = models.gguf_path("fixture"), None
    with folder() as work:
        after = f"{work}/q.gguf"
        run([LLAMA / "llama-quantize", "--pure", before, after, "Q8_0", "2"])
        found = subprocess.run([RESECT, "diff", str(before), after, "--json"], capture_output=True, text=True,
                               stdin=subprocess.DEVNULL)
        answer = json.loads(found.stdout)
        checks.check("a quantized model differs, exit 1", found.returncode == 1 and not answer["equal"])
        first = {tensor.name: tensor for tensor in gguf.GGUFReader(before).tensors}
        second = {tensor.name: tensor for tensor in gguf.GGUFReader(after).tensors}
        wrong = []
        for item in answer["changed"]:
            a, b = decoded(first[item["name"]]).ravel(), decoded(second[item["name"]]).ravel()
            difference = a.astype(np.float64) - b.astype(np.float64)
            rms = np.sqrt(np.mean(difference ** 2))
            if item["maxAbs"] != np.abs(difference).max() or abs(item["rms"] - rms) > 1e-9 * rms:
                wrong.append(f"{item['name']}: {item['maxAbs']} {item['rms']}, not {np.abs(difference).max()} {rms}")
        checks.check("the quantized tensors are listed", len(answer["changed"]) >= 85, str(len(answer["changed"])))
        checks.equal("largest and mean differences are those of gguf-py and NumPy", wrong)


def cuts(checks):
    with folder() as work:
        resect("cut", models.SMOLLM2_HF, "-o", f"{work}/cut.gguf", "--layers", "13:19")
        found = subprocess.run([RESECT, "diff", str(models.SMOLLM2_HF), f"{work}/cut.gguf", "--json"],
                               capture_output=True, text=True, stdin=subprocess.DEVNULL)
        answer = json.loads(found.stdout)
        layer = lambda name: int(re.search(r"layers\.(\d+)\.", name).group(1))
        checks.check("a cut that became GGUF: what is removed", {layer(n) for n in answer["removed"]} == set(range(13, 19)))
        checks.check("a cut that became GGUF: what moved", len(answer["renamed"]) == 9 * 11 and all(
            layer(item["from"]) - 6 == layer(item["to"]) for item in answer["renamed"]))
        checks.check("a cut that became GGUF: nothing is changed or added", not answer["changed"] and not answer["added"])


def check(checks):
    hashes(checks)
    verified(checks)
    distances(checks)
    cuts(checks)
    total = resect_json("hash", FIXTURE)["total"]
    same = all(resect_json("hash", FIXTURE, threads=str(n))["total"] == total for n in (1, 2, 3))
    checks.check("the total does not depend on the number of threads", same)
