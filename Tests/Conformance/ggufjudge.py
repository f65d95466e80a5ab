#!/usr/bin/env python3
"""Says of each path on standard input whether llama.cpp's reader takes the file, and whether gguf-py does: one line of two
words, `yes`, or `no` with the reason. A file on which llama.cpp ends the process gets no line."""

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

    def reads(path):
        context = library.gguf_init_from_file(os.fsencode(path), Parameters(True, None))
        if context:
            library.gguf_free(context)
        return bool(context)
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
