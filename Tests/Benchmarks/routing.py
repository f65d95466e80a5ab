"""`analyze` of a mixture of experts, few layers but wide (8 of 64 experts, hidden size 1024), against the same pass in
transformers, f32 both, on two threads: 8 x 512 tokens. Weights are random; the tokenizer is SmolLM2's.
"""

import json
import shutil

import torch
from transformers import OlmoeConfig, OlmoeForCausalLM

import forward
from models import SMOLLM2_HF
from passes import torch_pass
from rounds import medians, resect, row
from tools import CALIBRATION

SAMPLES, CONTEXT = 8, 512


def folder(path):
    torch.manual_seed(1)
    config = OlmoeConfig(
        vocab_size=json.loads((SMOLLM2_HF / "config.json").read_text())["vocab_size"], hidden_size=1024,
        intermediate_size=512, num_hidden_layers=4, num_attention_heads=16, num_key_value_heads=4, num_experts=64,
        num_experts_per_tok=8, max_position_embeddings=2048, tie_word_embeddings=False)
    OlmoeForCausalLM(config).save_pretrained(path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(SMOLLM2_HF / name, path / name)


def measure(work, options):
    torch.set_num_threads(2)
    model, output = work / "model", work / "a.json"
    folder(model)
    sequences = forward.chunks(SMOLLM2_HF, CALIBRATION, SAMPLES, CONTEXT)
    loaded = forward.load(model)
    found = medians({
        "resect": lambda: resect(
            "analyze", model, "--corpus", CALIBRATION, "--context", CONTEXT, "--samples", SAMPLES, "-o", output,
            output=output),
        "transformers": lambda: torch_pass(loaded, sequences),
    }, options.rounds)
    return [row("analyze, 8 of 64 experts, 8 x 512 tokens", found["resect"], "transformers", found["transformers"], 0.5)]
