#!/usr/bin/env python3
"""Converts small models with llama.cpp's convert_hf_to_gguf.py: a line `FOLDER<tab>OUTPUT` on standard input, a line of answer.

The answer is `ok`, or what went wrong. Each model is converted by a process of its own, because the converter changes tables of its
classes. Every model gets the same vocabulary of single characters instead of a tokenizer. `FOLDER<tab>OUTPUT<tab>TYPE` converts to
f32, f16 or bf16 with the tokenizer of the folder, which is taken for one of GPT-2's kind."""

import json
import logging
import os
import pathlib
import sys
import traceback

from tools import CACHE

SOURCE = CACHE / "llama.cpp"
sys.path[:0] = [str(SOURCE), str(SOURCE / "gguf-py")]

import gguf  # noqa: E402
import torch  # noqa: E402
from conversion import ModelBase, ModelType, get_model_architecture, get_model_class  # noqa: E402
from conversion.base import TextModel  # noqa: E402
from transformers import AutoConfig  # noqa: E402


def add_vocabulary(model):
    """In place of the converter's `set_vocab`: characters, and one pair of them."""
    size = model.hparams["vocab_size"]
    tokens = ["Ċ", "ab", *(chr(0x21 + i) for i in range(60)), "<unk>", "<s>", "</s>", "<|endoftext|>"]  # Phi-3 wants the last ones
    tokens += [f"<{i}>" for i in range(len(tokens), size)]
    writer = model.gguf_writer
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.NORMAL] * size)
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(1)


def settings(folder, *_, **__):
    """In place of the converter's `load_hparams`, which loses the keys that transformers 5 does not know."""
    return AutoConfig.from_pretrained(folder).to_dict() | json.loads((folder / "config.json").read_text(encoding="utf-8"))


# These want the files or the tokens of another kind of tokenizer.
OTHER_TOKENIZERS = ("GemmaModel", "Gemma2Model", "Phi3MiniModel", "NemotronModel", "ChatGLMModel", "Glm4Model")
TYPES = {"f32": gguf.LlamaFileType.ALL_F32, "f16": gguf.LlamaFileType.MOSTLY_F16, "bf16": gguf.LlamaFileType.MOSTLY_BF16}


def convert(folder, output, outtype=None):
    """One model, in f32 unless told otherwise."""
    with torch.inference_mode():
        ModelBase.load_hparams = staticmethod(settings)
        TextModel.get_vocab_base_pre = lambda *_: "gpt-2"
        kind = get_model_class(get_model_architecture(settings(folder), ModelType.TEXT))
        kind.no_mtp = kind.supports_mtp_export
        for each in kind.__mro__:
            if "set_vocab" in vars(each):
                if outtype is None:
                    each.set_vocab = add_vocabulary
                elif each.__name__ in OTHER_TOKENIZERS:
                    each.set_vocab = TextModel._set_vocab_gpt2
        kind(folder, TYPES[outtype or "f32"], output).write()


def main():
    logging.disable(logging.CRITICAL)
    answers = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    for line in sys.stdin:
        folder, output, *outtype = line.rstrip("\n").split("\t")
        if (child := os.fork()) == 0:
            try:
                convert(pathlib.Path(folder), pathlib.Path(output), *outtype)
                answer = "ok"
            except BaseException as error:
                step = traceback.extract_tb(error.__traceback__)[-1]
                answer = f"{type(error).__name__}: {' '.join(str(error).split())[:160]} ({pathlib.Path(step.filename).name}:{step.lineno})"
            os.write(answers, f"{answer}\n".encode())
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            os.write(answers, b"the converter crashed\n")


if __name__ == "__main__":
    main()
