#!/usr/bin/env python3
"""Runs llama.cpp's convert_hf_to_gguf.py for a model whose tokenizer it does not know.

    converter.py PRE MODEL --outfile OUT ...

The converter names the pre-tokenizer by a hash over the ids of one sentence, so that a vocabulary
trained for a test is foreign to it. Here the name is given instead; everything else is the converter.
With `-` for PRE the converter's own choice stands.
"""

import runpy
import sys

from tools import CACHE

SOURCE = CACHE / "llama.cpp"


def main(pre, *arguments):
    sys.path[:0] = [str(SOURCE), str(SOURCE / "gguf-py")]
    from conversion.base import TextModel
    if pre != "-":
        TextModel.get_vocab_base_pre = lambda self, tokenizer: pre
    sys.argv = ["convert_hf_to_gguf.py", *arguments]
    runpy.run_path(str(SOURCE / "convert_hf_to_gguf.py"), run_name="__main__")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
