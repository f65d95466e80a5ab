"""Gemma 3: the language model of one that takes images."""

import pathlib
import warnings

import torch
import transformers
from transformers import AutoModelForCausalLM
from transformers.utils import logging

import classes
import families
import familytable
import smallmodels
from tools import folder, resect

TEXT = dict(num_hidden_layers=6, hidden_size=64, intermediate_size=96, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
            query_pre_attn_scalar=16, sliding_window=9, vocab_size=familytable.VOCABULARY, max_position_embeddings=128, bos_token_id=0,
            eos_token_id=0, pad_token_id=None)


def check(checks):
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    with checks.section("gemma3 with images"), warnings.catch_warnings(), folder() as work:
        warnings.simplefilter("ignore")
        images(checks, pathlib.Path(work))


def images(checks, work):
    """A small model of the class that takes images: its language model alone gives the same logits, as a folder and as GGUF."""
    label = "gemma3 with images"
    source = work / "source"
    kind = transformers.Gemma3ForConditionalGeneration
    model = smallmodels.build(kind, {"text_config": TEXT})
    model.save_pretrained(source)
    families.tokenizer().save_pretrained(source)
    ids = torch.randint(4, familytable.VOCABULARY - 8, (1, 40), generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        expected = model(input_ids=ids).logits[0]
    resect("convert", source, "-o", work / "text", "--text-only")
    text, info = AutoModelForCausalLM.from_pretrained(work / "text", output_loading_info=True)
    checks.equal(f"{label}: the text class loads with no missing or unexpected key",
                 [f"{kind} {keys}" for kind, keys in info.items() if keys])
    checks.check(f"{label}: its class", type(text).__name__ == "Gemma3ForCausalLM", type(text).__name__)
    with torch.no_grad():
        checks.below(f"{label}: logits of the text class", classes.apart(text(input_ids=ids).logits[0], expected), 1e-6)
    states = families.States()
    try:
        for name, command in {"the folder": None, "GGUF": ["convert", source, "-o", work / "text.gguf", "--dtype", "f32"]}.items():
            if command:
                resect(*command)
            _, found = states(command[3] if command else source, work, ids[0])
            checks.below(f"{label}: logits of resect on {name}", classes.apart(found, expected), families.LIMIT)
    finally:
        states.end()
