"""`tokenize` of 100 MB against Hugging Face's tokenizers, on one thread and on two.

The library takes tens of gigabytes for one text of this size, so it is given pieces of 100 kB, one by one or as batches.
Byte-level BPE is SmolLM2's; the SentencePiece BPE is that of Gemma 3 where its file is there, else of Llama 2.
"""

import os
import pathlib
import random
import sys

import sampletext
import tokens
from models import SMOLLM2_HF
from rounds import medians, row, seconds
from tools import CALIBRATION, EVALUATION, RESECT

BYTES = 100_000_000
PEER = """
import os, sys
from tokenizers import Tokenizer
tokenizer = Tokenizer.from_file(sys.argv[1])
text = open(sys.argv[2], encoding="utf-8").read()
pieces, start = [], 0
while start < len(text):
    end = text.find("\\n", start + 100_000)
    end = len(text) if end < 0 else end + 1
    pieces.append(text[start:end])
    start = end
if sys.argv[3] == "1":
    print(sum(len(tokenizer.encode(piece).ids) for piece in pieces))
else:
    print(sum(len(found.ids) for i in range(0, len(pieces), 64) for found in tokenizer.encode_batch_fast(pieces[i:i + 64])))
"""


def text(path):
    """Lines of words in another order than in the corpora, some of them with a number, and all kinds of characters."""
    source = random.Random(1)
    words = (CALIBRATION.read_text() + EVALUATION.read_text()).split(" ")
    with open(path, "wb") as file:
        while file.tell() < BYTES:
            line = [word if source.random() < 0.95 else word + str(source.randrange(10000))
                    for word in source.choices(words, k=2000)]
            file.write((" ".join(line) + "\n" + sampletext.random_text(20, source.random()) + "\n").encode())


def measure(work, options):
    file, worker = work / "text.txt", work / "peer.py"
    text(file)
    worker.write_text(PEER)
    llama = tokens.GEMMA3 if tokens.GEMMA3.exists() else tokens.LLAMA_VOCABULARIES / "ggml-vocab-llama-spm.gguf"
    tokens.small_model(llama, work / "symbols")
    rows = []
    for name, model in (("byte-level", SMOLLM2_HF), ("SentencePiece", work / "symbols")):
        contenders = {}
        for threads in ("1", "2"):
            ours = (RESECT, "tokenize", model, "--text", file, "--quiet", "--threads", threads)
            contenders[f"resect, {threads}"] = lambda ours=ours: seconds(*ours)
            theirs = ("env", f"RAYON_NUM_THREADS={threads}", sys.executable, worker, pathlib.Path(model) / "tokenizer.json",
                      file, threads)
            contenders[f"tokenizers, {threads}"] = lambda theirs=theirs: seconds(*theirs)
        found = medians(contenders, options.rounds)
        size = f"{os.path.getsize(file) / 1e6:.0f} MB"
        rows += [row(f"tokenize {size}, {name}, threads: {threads}", found[f"resect, {threads}"], "tokenizers",
                     found[f"tokenizers, {threads}"], target) for threads, target in (("1", 1.0), ("2", 0.6))]
    return rows
