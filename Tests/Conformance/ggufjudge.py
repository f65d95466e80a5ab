#!/usr/bin/env python3
"""Says of each path on standard input whether llama.cpp's reader takes the file and finds the tensors in it, and what gguf-py
says: one line of two words, `yes` or `no`, then `yes` or the reason. A file on which llama.cpp ends the process gets no line."""

import ctypes
import os
import sys

import gguf

from tools import LLAMA


class Parameters(ctypes.Structure):
    _fields_ = [("no_alloc", ctypes.c_bool), ("ctx", ctypes.c_void_p)]


def llama():
    library = ctypes.CDLL(str(LLAMA / "libggml-base.so"))
    library.gguf_init_from_file.restype = ctypes.c_void_p
    library.gguf_init_from_file.argtypes = [ctypes.c_char_p, Parameters]
    library.gguf_free.argtypes = [ctypes.c_void_p]
    library.gguf_get_n_tensors.argtypes = library.gguf_get_data_offset.argtypes = [ctypes.c_void_p]
    library.gguf_get_tensor_offset.argtypes = library.gguf_get_tensor_size.argtypes = [ctypes.c_void_p, ctypes.c_int64]
    for name in ("gguf_get_data_offset", "gguf_get_tensor_offset", "gguf_get_tensor_size"):
        getattr(library, name).restype = ctypes.c_size_t
    library.gguf_get_n_tensors.restype = ctypes.c_int64

    def is_whole(context, size):
        """Whether the tensors lie in the file, which the reader leaves to who loads them."""
        start = library.gguf_get_data_offset(context)
        for i in range(library.gguf_get_n_tensors(context)):
            count = library.gguf_get_tensor_size(context, i)
            if count and start + library.gguf_get_tensor_offset(context, i) + count > size:
                return False
        return True

    def reads(path):
        context = library.gguf_init_from_file(os.fsencode(path), Parameters(True, None))
        if not context:
            return False
        whole = is_whole(context, os.stat(path).st_size)
        library.gguf_free(context)
        return whole
    return reads


def python_reads(path):
    """`yes`, or why not. Only asked about files that llama.cpp reads: others can keep it busy for ever."""
    try:
        gguf.GGUFReader(path)
        return "yes"
    except Exception as error:
        return f"{type(error).__name__}:{error}".replace(" ", "_").replace("\n", "_")


def main():
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    reads = llama()
    for line in sys.stdin:
        path = line.rstrip("\n")
        good = reads(path)
        print("yes" if good else "no", python_reads(path) if good else "unasked", flush=True)


if __name__ == "__main__":
    main()
