"""A real adapter, trained with PEFT on SmolLM2: perplexities of base plus adapter and of what `merge` makes of them, in one table.

The adapter is made once for each machine (trainedadapter.py). QLoRA trains on a base whose weights were rounded to NF4;
`--base-rounding nf4-double` adds the adapter to those weights, which is held against transformers with the base in NF4."""

import gc
import math
import pathlib

import torch
from peft import PeftModel
from safetensors.torch import load_file

import adaptermodels
import forward
import trainedadapter
from models import SMOLLM2_HF
from perplexity import evaluate, llama_perplexity
from tools import EVALUATION, folder, resect

CHUNKS, CONTEXT, CHARACTERS = 8, 512, 24_000


def check(checks):
    adaptermodels.quiet()
    adapter = trainedadapter.make()
    with checks.section("trained"), folder() as work:
        measure(checks, adapter, pathlib.Path(work))


def measure(checks, adapter, work):
    text, merged, rounded, small, faithful = (work / name for name in ("text", "merged", "bf16", "q8_0.gguf", "nf4"))
    text.write_text(EVALUATION.read_text(encoding="utf-8")[:CHARACTERS], encoding="utf-8")
    ids = forward.chunks(SMOLLM2_HF, text, CHUNKS, CONTEXT)
    text.write_text(forward.tokenizer(SMOLLM2_HF).decode(ids.flatten().tolist()), encoding="utf-8")
    resect("merge", SMOLLM2_HF, "-o", merged, "--adapter", adapter, "--dtype", "f32")
    resect("merge", SMOLLM2_HF, "-o", rounded, "--adapter", adapter)
    resect("merge", SMOLLM2_HF, "-o", small, "--adapter", adapter, "--type", "Q8_0")
    resect("merge", SMOLLM2_HF, "-o", faithful, "--adapter", adapter, "--base-rounding", "nf4-double", "--dtype", "f32")
    quantized = in_nf4()
    rounded_equal(checks, quantized, adapter, faithful)
    rows = {
        "base, transformers": losses(forward.load(SMOLLM2_HF), ids),
        "base + adapter, transformers": losses(PeftModel.from_pretrained(forward.load(SMOLLM2_HF), adapter), ids),
        "merged, f32, transformers": losses(forward.load(merged), ids),
        "merged, bf16, transformers": losses(forward.load(rounded), ids),
        "merged, Q8_0, llama.cpp": llama_perplexity(small, text, CONTEXT),
        "merged, Q8_0, resect": evaluate(small, text, CONTEXT),
        "base in NF4 + adapter, bf16, transformers": losses(PeftModel.from_pretrained(quantized, adapter), ids),
        "merged with the base rounded to NF4, transformers": losses(forward.load(faithful), ids),
    }
    for name, value in rows.items():
        checks.note(f"{name:50} {value:9.4f}")
    apart(checks, rows, "merged, f32, transformers", "base + adapter, transformers", 1e-5)
    apart(checks, rows, "merged, bf16, transformers", "base + adapter, transformers", 0.005)
    apart(checks, rows, "merged, Q8_0, llama.cpp", "merged, bf16, transformers", 0.01)
    apart(checks, rows, "merged, Q8_0, resect", "merged, Q8_0, llama.cpp", 0.005)
    apart(checks, rows, "merged with the base rounded to NF4, transformers", "base in NF4 + adapter, bf16, transformers", 0.005)
    checks.check("trained: the adapter matters", rows["base + adapter, transformers"] < 0.95 * rows["base, transformers"],
                 f"{rows['base, transformers']:.2f} to {rows['base + adapter, transformers']:.2f}")


def apart(checks, rows, name, other, limit):
    """Holds one perplexity to another."""
    checks.below(f"trained: {name} against {other}, relative", abs(rows[name] / rows[other] - 1), limit)


def in_nf4():
    """SmolLM2 as QLoRA trains on it: weights in NF4, computing in bf16, which moves the perplexity a little."""
    from transformers import BitsAndBytesConfig
    return forward.load(SMOLLM2_HF, torch.bfloat16, quantization_config=BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=torch.bfloat16))


def rounded_equal(checks, model, adapter, faithful):
    """The rounded base plus the adapter, weight by weight."""
    from bitsandbytes import functional
    ours, pairs = load_file(faithful / "model.safetensors"), load_file(adapter / "adapter_model.safetensors")
    wrong, count = [], 0
    for name, layer in model.named_modules():
        if type(layer).__name__ == "Linear4bit":
            base = functional.dequantize_4bit(layer.weight.data, layer.weight.quant_state).float()
            a, b = (pairs[f"base_model.model.{name}.lora_{side}.weight"] for side in "AB")
            wrong += [] if torch.equal(ours[f"{name}.weight"], base + (b @ a) * trainedadapter.SCALE) else [name]
            count += 1
    checks.equal(f"trained: {count} weights rounded to NF4 by bitsandbytes, plus the adapter, bit for bit", wrong or ([] if count else ["none"]))


@torch.no_grad()
def losses(model, ids):
    """The perplexity over the second half of every context, as llama-perplexity counts it."""
    model.eval()
    total, count, half = 0.0, 0, ids.shape[1] // 2
    for context in ids:
        scores = model(context[None], use_cache=False).logits[0, half:-1].double()
        total += torch.nn.functional.cross_entropy(scores, context[half + 1:], reduction="sum").item()
        count += len(scores)
    del model
    gc.collect()
    return math.exp(total / count)
