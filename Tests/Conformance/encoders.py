"""`quantize --pure` against ggml's own encoders, block for block: weights of a real model and what breaks quantizers, with
importance and without."""

from concurrent.futures import ThreadPoolExecutor

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

import imatrices
import tensorfiles
from ggmlencoder import EXACT, STOCK, Encoder
from models import gguf_path
from tools import THREADS, folder, resect

# Each type by the mixture that has it as its base; none has NVFP4.
MIXTURES = {Type.Q4_0: "Q4_0", Type.Q4_1: "Q4_1", Type.Q5_0: "Q5_0", Type.Q5_1: "Q5_1", Type.Q8_0: "Q8_0",
            Type.Q2_K: "Q2_K", Type.Q3_K: "Q3_K_S", Type.Q4_K: "Q4_K_S", Type.Q5_K: "Q5_K_S", Type.Q6_K: "Q6_K",
            Type.IQ4_NL: "IQ4_NL", Type.IQ4_XS: "IQ4_XS", Type.MXFP4: "MXFP4_MOE", Type.NVFP4: "Q4_0"}
# Those that have no use for importance.
PLAIN = (Type.Q8_0, Type.MXFP4, Type.NVFP4)
# Where the f16 scales of a block lie in the types whose sign of a NaN is compared to nothing: kernels make every NaN the same.
SCALES = {Type.Q4_0: [0], Type.Q4_1: [0, 2], Type.Q5_0: [0], Type.Q5_1: [0, 2]}
# Below it the scale of a block of MXFP4 is undefined in ggml's C.
LEAST_MXFP4 = 2.0 ** -125
# Every row of SmolLM2 in rows that super-blocks divide; its own have 576 columns.
COLUMNS = 1536
LAYERS = (0, 14, 29)
ROWS = 256


def real():
    """Some of SmolLM2's tensors, in bf16."""
    wanted = {f"blk.{layer}.{name}.weight" for layer in LAYERS
              for name in ("attn_q", "attn_v", "attn_output", "ffn_gate", "ffn_down")}
    for tensor in gguf.GGUFReader(gguf_path("smollm2")).tensors:
        if tensor.name in wanted:
            values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
            yield values.reshape(-1, COLUMNS)[:ROWS]


def awkward(random):
    """Matrices of the kinds that break quantizers, in f32."""
    shape = (32, COLUMNS)
    normal = lambda scale: random.normal(0, scale, shape)
    outliers = np.where(random.random(shape) < 0.001, normal(40), normal(0.02))
    zeros = np.where(random.random((shape[0], COLUMNS // 32)).repeat(32, 1) < 0.5, 0, normal(0.02))
    signed = np.where(random.random(shape) < 0.5, -0.0, 0)
    steps = normal(1) * 10.0 ** random.integers(-30, 12, (shape[0], COLUMNS // 16)).repeat(16, 1)
    found = [normal(0.02), random.standard_cauchy(shape) * 0.01, outliers, zeros, signed, normal(1e-40), normal(1e-38),
             normal(1e-6), normal(1e4), normal(1e30), steps, np.full(shape, 0.3), np.abs(normal(1)) + 5,
             random.integers(-8, 8, shape) / 8]
    for special in (np.inf, -np.inf, np.nan, -np.nan):
        found.append(np.where(random.random(shape) < 0.002, special, normal(0.02)))
    yield from (matrix.astype(np.float32) for matrix in found)


def write(path, matrices):
    """A GGUF file with a matrix in each layer: plain bf16 where nothing is lost, else f32."""
    writer = gguf.GGUFWriter(path, "toy")
    writer.add_block_count(len(matrices))
    for name, values in matrices.items():
        kept = gguf.quants.quantize(values, Type.BF16)
        if np.array_equal(gguf.quants.dequantize(kept, Type.BF16), values):
            writer.add_tensor(name, kept, raw_dtype=Type.BF16)
        else:
            writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def importance(random):
    """Sums of squares as activations have them, a sixth of them zero, and how many rows they are of."""
    sums = (random.normal(0, 1, COLUMNS) ** 2 * 10.0 ** random.integers(-3, 4, COLUMNS) * 4096).astype(np.float32)
    return np.where(random.random(COLUMNS) < 1 / 6, np.float32(0), sums)[None], np.float32([4096])


def check(checks):
    random = np.random.default_rng(2026)
    exact, stock = Encoder(EXACT), Encoder(STOCK)
    matrices = {f"blk.{n}.ffn_up.weight": values for n, values in enumerate([*real(), *awkward(random)])}
    sums = {name: importance(random) for name in matrices}
    with folder() as work, ThreadPoolExecutor(int(THREADS)) as pool:
        model, matrix = f"{work}/model.gguf", f"{work}/matrix.gguf"
        write(model, matrices)
        imatrices.write(matrix, sums)
        for kind, mixture in MIXTURES.items():
            for weighted in (False, True):
                if weighted and kind in PLAIN:
                    continue
                label = f"{kind.name}{' by importance' if weighted else ''}"
                with checks.section(label):
                    output = f"{work}/{kind.name}-{weighted}.gguf"
                    extra = ["--imatrix", matrix] if weighted else []
                    if kind == Type.NVFP4:
                        extra += ["--tensor-type", "weight=nvfp4"]
                    resect("quantize", model, "-o", output, "--type", mixture, "--pure", "--allow-nonfinite", *extra)
                    compare(checks, label, kind, matrices, sums if weighted else None, output, exact, stock, pool)


def without_signs(kind, blocks):
    """The blocks with every scale that is NaN made negative."""
    blocks = blocks.copy()
    for place in SCALES.get(kind, []):
        scales = blocks[:, place:place + 2].copy().view(np.uint16)
        blocks[:, place:place + 2] = np.where(scales & 0x7FFF > 0x7C00, scales | 0x8000, scales).view(np.uint8)
    return blocks


def compare(checks, label, kind, matrices, sums, output, exact, stock, pool):
    """Holds the tensors of a file against both builds of ggml, the one to the byte, the other by number."""
    size = gguf.GGML_QUANT_SIZES[kind][1]
    ours = tensorfiles.gguf_tensors(output)

    def one(name):
        weights = None if sums is None else sums[name][0][0] / sums[name][1][0]
        expected, other = (encode(kind, matrices[name], weights) for encode in (exact, stock))
        found = np.frombuffer(ours[name][2], np.uint8).reshape(-1, size)
        if ours[name][0] != kind.name or found.shape != expected.shape:
            return f"{name} is {ours[name][0]} of {found.shape[0]} blocks", 0, 0
        differ = (without_signs(kind, found) != without_signs(kind, expected)).any(1)
        if kind == Type.MXFP4:
            differ &= ~(np.abs(matrices[name]).reshape(len(differ), -1).max(1) < LEAST_MXFP4)
        problem = f"{name} differs in {differ.sum()} of {len(differ)} blocks, first {differ.argmax()}"
        return problem if differ.any() else None, len(differ), int((other != expected).any(1).sum())

    results = list(pool.map(one, matrices))
    blocks = sum(count for _, count, _ in results)
    if checks.equal(f"{label}: blocks equal ggml's", [problem for problem, _, _ in results if problem]):
        checks.note(f"{blocks:,} blocks; {sum(other for *_, other in results):,} are others in the stock build of ggml")
