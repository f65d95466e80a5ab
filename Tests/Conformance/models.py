#!/usr/bin/env python3
"""Makes the models of the tests in the cache, once: HF folders and GGUF files of SmolLM2 and of the fixture.

    smollm2.gguf                        SmolLM2-135M-Instruct in Q4_1, fetched by peers.sh
    smollm2-hf                          the same model as an HF folder in bf16
    smollm2-{bf16,f16,f32}.gguf         the HF folder through llama.cpp's converter
    fixture-{bf16,f16,f32}.gguf         fixtures/kjv-7m through llama.cpp's converter
    smollm2-imatrix.{gguf,dat}          importance of SmolLM2's columns on fixtures/calibration.txt, when a part asks for it
"""

import os
import pathlib
import shutil
import sys

from tools import CACHE, CALIBRATION, FIXTURE, HERE, THREADS, llama, run

SMOLLM2 = CACHE / "smollm2.gguf"
SMOLLM2_HF = CACHE / "smollm2-hf"
TYPES = ("bf16", "f16", "f32")
# SmolLM2's own tokenizer is known to the converter; the fixture's vocabulary is not, its form is GPT-2's.
SOURCES = {"smollm2": (SMOLLM2_HF, "-"), "fixture": (FIXTURE, "gpt-2")}


def gguf_path(name, outtype="bf16"):
    """The converter's file of a model."""
    return CACHE / f"{name}-{outtype}.gguf"


def imatrix(form="gguf"):
    """The importance matrix of SmolLM2 by llama-imatrix in one of its forms, from 16 contexts of 512 tokens."""
    output, model = CACHE / f"smollm2-imatrix.{form}", gguf_path("smollm2", "f32")
    if output.exists() and output.stat().st_mtime >= model.stat().st_mtime:
        return output
    say(f"making {output.name}")
    part = output.with_name(f"{output.name}.{os.getpid()}")
    if form == "gguf":
        source = ("-f", CALIBRATION, "--chunks", 16, "-c", 512, "--no-ppl")
    else:
        source = ("--in-file", imatrix())
    llama("llama-imatrix", "-m", model, *source, "-t", THREADS, "-o", part, "--output-format", form)
    part.rename(output)
    return output


def say(text):
    print(f"models: {text}", file=sys.stderr, flush=True)


def make_folder():
    """The HF folder of SmolLM2. transformers cannot save a model that it loaded from GGUF: copy the state."""
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig

    import vocabularies
    work = CACHE / f"smollm2-hf.{os.getpid()}"
    shutil.rmtree(work, ignore_errors=True)
    loaded = AutoModelForCausalLM.from_pretrained(str(CACHE), gguf_file=SMOLLM2.name, dtype=torch.float32)
    config = loaded.config
    for key in ("quantization_config", "_name_or_path", "_model_name_or_path", "unk_token_id"):
        if hasattr(config, key):
            delattr(config, key)
    config.rms_norm_eps = 1e-5  # stored in f32 in the GGUF
    fresh = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    fresh.load_state_dict(loaded.state_dict())
    fresh.tie_weights()
    fresh.generation_config = GenerationConfig(
        bos_token_id=config.bos_token_id, eos_token_id=config.eos_token_id, pad_token_id=config.pad_token_id)
    fresh.save_pretrained(work)
    vocabularies.save(SMOLLM2, work)
    work.rename(SMOLLM2_HF)


def convert(source, output, outtype, pre):
    """Runs llama.cpp's converter into a temporary sibling, then renames it."""
    part = output.with_name(f"{output.name}.{os.getpid()}")
    run([sys.executable, HERE / "converter.py", pre, source, "--outfile", part, "--outtype", outtype])
    part.rename(output)


def make():
    """Makes what is missing or older than its source."""
    if not SMOLLM2.exists():
        sys.exit(f"{SMOLLM2} is missing; run {HERE / 'peers.sh'} first")
    if not SMOLLM2_HF.exists():
        say("making the HF folder of SmolLM2")
        make_folder()
    for name, (source, pre) in SOURCES.items():
        newest = max(p.stat().st_mtime for p in pathlib.Path(source).iterdir())
        for outtype in TYPES:
            output = gguf_path(name, outtype)
            if not output.exists() or output.stat().st_mtime < newest:
                say(f"making {output.name}")
                convert(source, output, outtype, pre)


if __name__ == "__main__":
    make()
