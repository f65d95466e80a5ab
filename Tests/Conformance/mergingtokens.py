"""`merge` of a folder as unsloth and axolotl leave it: an adapter of a model with more tokens, its tokenizer, and what trainers save.

The reference resizes the base as the training did, merges with PEFT, and saves the adapter's tokenizer beside the result."""

import json

import torch
import transformers
from peft import LoraConfig

import adaptermodels
import tensorfiles
from tools import FIXTURE, LLAMA, resect, run

TOKENS = ["<|im_start|>", "<|im_end|>"]
TEMPLATE = "{% for m in messages %}<|im_start|>{{ m['content'] }}<|im_end|>{% endfor %}"
TEXT = "<|im_start|>In the beginning God created the heaven<|im_end|>"
# What a trainer leaves in the folder of an adapter.
OTHERS = ("optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin", "trainer_state.json", "README.md", "config.json")


def check(checks, work):
    path, theirs = trained(work)
    label, output = "merge, a folder with its tokenizer", work / "out"
    resect("merge", FIXTURE, "-o", output, "--adapter", path)
    checks.equal(f"{label}: weights equal PEFT's bit for bit", tensorfiles.tensor_differences(
        tensorfiles.safetensors_tensors(output), tensorfiles.safetensors_tensors(theirs)))
    sizes = [json.loads((folder / "config.json").read_text())["vocab_size"] for folder in (output, theirs)]
    checks.check(f"{label}: config.json says {sizes[1]} tokens", sizes[0] == sizes[1], f"says {sizes[0]}")
    names = {file.name for file in theirs.iterdir()} - {"config.json", "generation_config.json", "model.safetensors"}
    checks.equal(f"{label}: the tokenizer files are those of the training", sorted(
        {file.name for file in output.iterdir() if (path / file.name).exists()} ^ (names | {"config.json"})) + [
            name for name in names if (output / name).read_bytes() != (path / name).read_bytes()])
    ours, right = (transformers.AutoTokenizer.from_pretrained(folder) for folder in (output, path))
    messages = [{"role": "user", "content": "Amen."}]
    checks.check(f"{label}: texts and chats become the same tokens", ours(TEXT) == right(TEXT) and ours.apply_chat_template(
        messages) == right.apply_chat_template(messages), f"{ours(TEXT)['input_ids']} and {right(TEXT)['input_ids']}")
    model, info = adaptermodels.load(output, output_loading_info=True)
    checks.equal(f"{label}: loads in transformers with no missing or unexpected key", [f"{k} {v}" for k, v in info.items() if v])
    model = work / "out.gguf"
    resect("merge", FIXTURE, "-o", model, "--adapter", path)
    said = run([LLAMA / "llama-tokenize", "-m", model, "-p", TEXT, "--ids", "--log-disable"])
    checks.check(f"{label}: llama.cpp has the tokens in a GGUF file", json.loads(said) == right(TEXT)["input_ids"],
                 f"{said.strip()} and {right(TEXT)['input_ids']}")


def trained(work):
    """An adapter of the fixture in the folder of a training, and PEFT's merge of it."""
    path, theirs = work / "tokens", work / "theirs"
    tokenizer = transformers.AutoTokenizer.from_pretrained(FIXTURE)
    tokenizer.add_special_tokens({"additional_special_tokens": TOKENS})
    tokenizer.chat_template = TEMPLATE
    base = adaptermodels.load(FIXTURE)
    torch.manual_seed(4)
    base.resize_token_embeddings(len(tokenizer))
    adaptermodels.adapter(base, LoraConfig(r=4, target_modules=["q_proj", "down_proj"], init_lora_weights=False), path)
    tokenizer.save_pretrained(path)
    for name in OTHERS:
        (path / name).write_text("{}")
    base = adaptermodels.load(FIXTURE)
    base.resize_token_embeddings(len(tokenizer))
    _, merged = adaptermodels.applied(base, path)
    merged.to(torch.bfloat16).save_pretrained(theirs)
    tokenizer.save_pretrained(theirs)
    return path, theirs
