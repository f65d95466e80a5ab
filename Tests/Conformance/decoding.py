"""Decoding of every block type to f32, bit for bit what gguf-py's `dequantize` gives."""

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

from tools import folder, resect

ROWS, BLOCKS = 64, 4

# Where a block has its half-precision scales; all other bytes may be anything.
SCALES = {
    Type.Q4_0: [0], Type.Q4_1: [0, 2], Type.Q5_0: [0], Type.Q5_1: [0, 2], Type.Q8_0: [0],
    Type.Q2_K: [80, 82], Type.Q3_K: [108], Type.Q4_K: [0, 2], Type.Q5_K: [0, 2], Type.Q6_K: [208],
    Type.IQ4_NL: [0], Type.IQ4_XS: [0],
}


def halves(random, count):
    """Finite half-precision numbers of any size and sign, subnormal ones and zeros among them."""
    bits = random.integers(0, 0x7C00, count, np.uint16) | (random.integers(0, 2, count, np.uint16) << 15)
    bits[::17] &= 0x83FF
    return bits


def blocks(random, kind):
    """Rows of random blocks with finite scales."""
    size = gguf.GGML_QUANT_SIZES[kind][1]
    data = random.integers(0, 256, (ROWS * BLOCKS, size), np.uint8)
    for place in SCALES[kind]:
        data[:, place:place + 2] = halves(random, len(data)).view(np.uint8).reshape(-1, 2)
    return data.reshape(ROWS, BLOCKS * size)


def plain(random):
    """Every half-precision and bfloat16 number that is one, and random f32 numbers."""
    every = np.arange(65536, dtype=np.uint32).astype(np.uint16)
    half = every[(every & 0x7FFF) <= 0x7C00]
    brain = every[(every & 0x7FFF) <= 0x7F80]
    single = random.integers(0, 2**32, 64 * 256, np.uint32)
    single[(single & 0x7FFFFFFF) > 0x7F800000] = 0x7F800000
    rows = lambda array: array[:len(array) // 256 * 256].reshape(-1, 256)
    yield Type.F16, rows(half).view(np.float16), rows(half).view(np.float16).astype(np.float32)
    yield (Type.BF16, rows(brain).view(np.uint8).reshape(-1, 512),
           (rows(brain).astype(np.uint32) << 16).view(np.float32))
    yield Type.F32, rows(single).view(np.float32), rows(single).view(np.float32)


def check(checks):
    random = np.random.default_rng(1)
    with checks.section("decode"), folder() as work:
        source, output = f"{work}/in.gguf", f"{work}/out.gguf"
        expected = {}
        writer = gguf.GGUFWriter(source, "toy")
        writer.add_block_count(1)
        for kind, data, values in plain(random):
            expected[f"blk.0.{kind.name.lower()}.weight"] = kind, values
            writer.add_tensor(f"blk.0.{kind.name.lower()}.weight", data, raw_dtype=kind)
        for kind in SCALES:
            data = blocks(random, kind)
            expected[f"blk.0.{kind.name.lower()}.weight"] = kind, gguf.quants.dequantize(data, kind)
            writer.add_tensor(f"blk.0.{kind.name.lower()}.weight", data, raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        resect("convert", source, "-o", output, "--dtype", "f32")
        found = {t.name: t for t in gguf.GGUFReader(output).tensors}
        for name, (kind, values) in expected.items():
            ours = found[name]
            same = ours.tensor_type == Type.F32 and ours.data.size == values.size
            wrong = int(np.count_nonzero(ours.data.reshape(-1).view(np.uint32)
                                         != np.ascontiguousarray(values).reshape(-1).view(np.uint32))) if same else -1
            checks.check(f"decode {kind.name}: bits equal gguf-py's", wrong == 0,
                         f"{wrong} of {values.size} differ" if same else
                         f"is {ours.tensor_type.name} with {ours.data.size} elements")
