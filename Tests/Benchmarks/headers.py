"""`inspect` of files with very many tensors against the readers in Python: all of it is the header.

The safetensors file is the official library's; for GGUF gguf-py writes the file and reads it.
"""

import sys

import gguf
import numpy as np
import safetensors.numpy

from rounds import medians, resect, row, seconds

LAYERS = 10_000
MATRICES = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
VECTORS = ("attn_norm", "ffn_norm", "attn_bias")


def tensors():
    matrix, vector = np.zeros((2, 4), np.float16), np.zeros(4, np.float16)
    for layer in range(LAYERS):
        yield from ((f"blk.{layer}.{name}.weight", matrix) for name in MATRICES)
        yield from ((f"blk.{layer}.{name}.weight", vector) for name in VECTORS)


def measure(work, options):
    large = work / "many.safetensors"
    safetensors.numpy.save_file(dict(tensors()), large)
    many = work / "many.gguf"
    writer = gguf.GGUFWriter(many, "llama")
    writer.add_block_count(LAYERS)
    for name, data in tensors():
        writer.add_tensor(name, data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    count = LAYERS * (len(MATRICES) + len(VECTORS))
    rows = []
    for path, peer, code, target in (
            (large, "safe_open", "import safetensors\nwith safetensors.safe_open(path, 'np') as f: n = len(f.keys())", 0.1),
            (many, "gguf-py", "import gguf\nn = len(gguf.GGUFReader(path).tensors)", 0.1)):
        script = f"path = {str(path)!r}\n{code}\nassert n == {count}"
        found = medians({
            "resect inspect": lambda: resect("inspect", path),
            peer: lambda: seconds(sys.executable, "-c", script),
        }, options.rounds)
        rows.append(row(f"inspect {count:,} tensors", found["resect inspect"], peer, found[peer], target))
    return rows
