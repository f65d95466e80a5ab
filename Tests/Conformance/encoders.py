"""Every block encoder against ggml's, byte for byte: rows that break quantizers and weights of SmolLM2, with and without
importance. The oracle is ggml compiled without contracted multiply-adds; how far a stock build differs from it is noted."""

import ctypes

import gguf
import numpy as np

import tensorfiles
from models import gguf_path
from tools import CACHE, LLAMA, folder, resect

TYPES = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS", "MXFP4",
         "NVFP4")
COLUMNS = 768


def rows(random):
    """Kinds of rows: as weights are, and as they should not be."""
    shape, blocks = (24, COLUMNS), (24, COLUMNS // 32)
    normal = lambda scale=1.0: random.normal(0, scale, shape)
    spread = lambda low, high: 10.0 ** random.integers(low, high, blocks).repeat(32, axis=1)
    some = random.random(shape) < 0.05
    bits = random.integers(0, 2 ** 32, shape, dtype=np.uint64).astype(np.uint32).view(np.float32)
    kinds = {
        "Gaussian": normal(0.02), "Cauchy": random.standard_cauchy(shape) * 0.01, "Laplace": random.laplace(0, 1, shape),
        "outliers": np.where(some, normal(40), normal(0.01)), "sparse": np.where(some, normal(), 0),
        "zero blocks": normal() * (random.random(blocks) < 0.5).repeat(32, axis=1),
        "negative zeros": np.where(random.random(shape) < 0.5, -0.0, 0.0),
        "constant blocks": random.normal(0, 1, blocks).repeat(32, axis=1), "steps": random.integers(-8, 9, shape) / 8,
        "positive": np.abs(normal()), "negative": -np.abs(normal()), "far from zero": 5 + normal(0.01),
        "below zero": -5 + normal(0.01), "denormal": normal(1e-40), "least": random.integers(-20, 20, shape) * 1.4e-45,
        "tiny": normal(1e-30), "huge": normal(1e30), "near nothing": normal(1e-15), "greatest": np.clip(
            normal(1e38), -3.4e38, 3.4e38), "all sizes": normal() * spread(-42, 37), "sizes in a block":
        normal() * 10.0 ** random.integers(-12, 12, shape), "bits": np.where(np.isfinite(bits), bits, 1),
    }
    return {name: np.ascontiguousarray(values, np.float32) for name, values in kinds.items()}


def importances(random):
    """Kinds of importance for so many columns; None for none."""
    return {
        "no": lambda count: None, "even": np.ones, "squares": lambda count: random.normal(0, 1, count) ** 2,
        "half zero": lambda count: np.where(random.random(count) < 0.5, 0, random.exponential(1, count)),
        "all zero": np.zeros, "wide": lambda count: 10.0 ** random.uniform(-30, 30, count),
    }


def write_model(path, tensors):
    """A GGUF file whose every layer has one of the tensors; their names in it."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(len(tensors))
    names = {}
    for layer, (kind, values) in enumerate(tensors.items()):
        names[f"blk.{layer}.ffn_down.weight"] = kind
        writer.add_tensor(f"blk.{layer}.ffn_down.weight", values)
    finish(writer)
    return names


def write_importance(path, entries):
    """An importance matrix as llama-imatrix writes it, of one token."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type("imatrix")
    writer.add_array("imatrix.datasets", ["rows"])
    writer.add_uint32("imatrix.chunk_count", 1)
    writer.add_uint32("imatrix.chunk_size", 1)
    for name, values in entries.items():
        writer.add_tensor(f"{name}.in_sum2", values)
        writer.add_tensor(f"{name}.counts", np.ones((1, 1), np.float32))
    finish(writer)


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class Library:
    """The encoders of one build of ggml."""

    def __init__(self, path):
        self.chunk = ctypes.CDLL(str(path)).ggml_quantize_chunk
        self.chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int64] * 3, ctypes.c_void_p]

    def blocks(self, kind, values, importance):
        """The blocks of a tensor in a type, one a row."""
        elements, size = gguf.GGML_QUANT_SIZES[kind]
        output = np.zeros((values.size // elements, size), np.uint8)
        self.chunk(kind, values.ctypes.data, output.ctypes.data, 0, *values.shape,
                   None if importance is None else importance.ctypes.data)
        return output


def undefined(kind, values):
    """Blocks whose bytes ggml's C does not define: a negative exponent that becomes an unsigned byte."""
    if kind != gguf.GGMLQuantizationType.MXFP4:
        return np.zeros(values.size // gguf.GGML_QUANT_SIZES[kind][0], bool)
    largest = np.abs(values.reshape(-1, 32)).max(axis=1)
    return (largest > 0) & (largest < 2.0 ** -125)


def check(checks):
    exact, stock = Library(CACHE / "ggml-exact" / "libggml-base.so"), Library(LLAMA / "libggml-base.so")
    random = np.random.default_rng(2026)
    tensors = rows(random)
    wanted = ("blk.0.ffn_down.weight", "blk.9.ffn_down.weight", "blk.29.ffn_down.weight", "blk.4.attn_q.weight")
    for name, _, values in tensorfiles.gguf_values(gguf_path("smollm2")):
        if name in wanted:
            tensors[f"SmolLM2's {name}"] = np.ascontiguousarray(values, np.float32)
    with folder() as work:
        names = write_model(f"{work}/rows.gguf", tensors)
        for label, importance in importances(random).items():
            entries = {name: importance(tensors[kind].shape[1]) for name, kind in names.items()}
            entries = {name: np.ascontiguousarray(e, np.float32) for name, e in entries.items() if e is not None}
            if entries:
                write_importance(f"{work}/importance.gguf", entries)
            for wanted_type in TYPES:
                with checks.section(f"encoders: {wanted_type}, {label} importance"):
                    resect("quantize", f"{work}/rows.gguf", "-o", f"{work}/out.gguf", "--force", "--type", "Q8_0",
                           "--tensor-type", f"ffn_down={wanted_type}",
                           *(["--imatrix", f"{work}/importance.gguf"] if entries else []))
                    compare(checks, f"{wanted_type}, {label} importance", f"{work}/out.gguf", names, tensors, entries,
                            exact, stock)


def compare(checks, label, path, names, tensors, entries, exact, stock):
    """Holds the blocks of a file to the exact library's; the type of a tensor is the one that the file gives it."""
    differences, blocks, exempt, apart = [], 0, 0, 0
    for tensor in gguf.GGUFReader(path).tensors:
        values, kind = tensors[names[tensor.name]], tensor.tensor_type
        expected = exact.blocks(kind, values, entries.get(tensor.name))
        free = undefined(kind, values)
        wrong = (tensor.data.reshape(expected.shape) != expected).any(axis=1) & ~free
        if wrong.any():
            differences.append(f"{names[tensor.name]} as {kind.name}: {wrong.sum()} of {len(wrong)} blocks, first "
                               f"{np.flatnonzero(wrong)[0]}")
        blocks, exempt = blocks + len(wrong), exempt + int(free.sum())
        apart += int((stock.blocks(kind, values, entries.get(tensor.name)) != expected).any(axis=1).sum())
    checks.equal(f"encoders: {label}: {blocks} blocks equal ggml's", differences)
    if apart or exempt:
        checks.note(f"{label}: a stock build differs in {apart} blocks; {exempt} are not defined by ggml")
