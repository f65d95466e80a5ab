"""The reference forward pass: transformers in f32 on the CPU, and what is read from it."""

import math

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM
from transformers.utils import logging

from models import SMOLLM2, SMOLLM2_HF
from tools import FIXTURE

logging.disable_progress_bar()
logging.set_verbosity_error()

# What is measured: a name, the model that resect opens, and the folder of its tokenizer.
MODELS = [
    ("smollm2 hf", SMOLLM2_HF, SMOLLM2_HF),
    ("smollm2 q4_1", SMOLLM2, SMOLLM2_HF),
    ("fixture", FIXTURE, FIXTURE),
]


def load(path, dtype=torch.float32, **options):
    """A model from an HF folder or from a GGUF file, in f32 unless told otherwise."""
    if path.suffix == ".gguf":
        return AutoModelForCausalLM.from_pretrained(
            str(path.parent), gguf_file=path.name, dtype=dtype, **options).eval()
    loaded = AutoModelForCausalLM.from_pretrained(str(path), dtype=dtype, **options)
    if isinstance(loaded, tuple):
        return loaded[0].eval(), loaded[1]
    return loaded.eval()


def tokenizer(folder):
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def chunks(folder, text, samples, context):
    """The first `samples` chunks of `context` consecutive tokens of a text file."""
    ids = tokenizer(folder).encode(text.read_text(encoding="utf-8")).ids
    count = min(samples, len(ids) // context)
    return torch.tensor(ids[:count * context]).view(count, context)


@torch.no_grad()
def streams(model, ids):
    """The residual stream of one sequence, [layers + 1, tokens, hidden]: the input of every layer,
    then the output of the last one, before the final norm."""
    layers, found = model.model.layers, []
    first = lambda value: value[0] if isinstance(value, tuple) else value
    hooks = [layer.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0][0])) for layer in layers]
    hooks.append(layers[-1].register_forward_hook(lambda _, __, output: found.append(first(output)[0])))
    try:
        model.model(ids[None], use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()
    return torch.stack(found)


def distances(model, sequences):
    """The two matrices: at the last token of every sequence, and at all tokens of all sequences."""
    size = len(model.model.layers) + 1
    last, every = torch.zeros(size, size, dtype=torch.float64), torch.zeros(size, size, dtype=torch.float64)
    for ids in sequences:
        unit = streams(model, ids).double().transpose(0, 1)
        unit = unit / unit.norm(dim=-1, keepdim=True)
        angles = torch.arccos((unit @ unit.transpose(1, 2)).clamp(-1, 1)) / math.pi
        last += angles[-1]
        every += angles.sum(0)
    last, every = last / len(sequences), every / sequences.numel()
    return {"last": last.fill_diagonal_(0), "all": every.fill_diagonal_(0)}


@torch.no_grad()
def logits(model, ids, skipped=range(0)):
    """The logits of sequences, with some layers left out."""
    layers = model.model.layers
    kept = torch.nn.ModuleList(layer for i, layer in enumerate(layers) if i not in skipped)
    depth = model.config.num_hidden_layers
    model.model.layers, model.config.num_hidden_layers = kept, len(kept)
    try:
        return model(ids, use_cache=False).logits
    finally:
        model.model.layers, model.config.num_hidden_layers = layers, depth
