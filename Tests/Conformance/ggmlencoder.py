"""ggml's own encoders by ctypes: what llama-quantize would write for some rows."""

import ctypes

import gguf
import numpy as np

from tools import CACHE, LLAMA

# Built without contracted multiply-adds, and as llama.cpp's users have it.
EXACT, STOCK = CACHE / "ggml-exact" / "libggml-base.so", LLAMA / "libggml-base.so"


class Encoder:
    """The encoders of a build of ggml."""

    def __init__(self, library):
        self.encode_chunk = ctypes.CDLL(str(library)).ggml_quantize_chunk
        self.encode_chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int64] * 3,
                                      ctypes.c_void_p]

    def __call__(self, kind, rows, importance=None):
        """The blocks of rows of f32, as a matrix of bytes with a block in each row."""
        elements, size = gguf.GGML_QUANT_SIZES[kind]
        rows = np.ascontiguousarray(rows, np.float32)
        blocks = np.zeros((rows.size // elements, size), np.uint8)
        weights = None if importance is None else np.ascontiguousarray(importance, np.float32)
        self.encode_chunk(kind, rows.ctypes.data, blocks.ctypes.data, 0, *rows.shape,
                          None if weights is None else weights.ctypes.data)
        return blocks
