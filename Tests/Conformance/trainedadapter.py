#!/usr/bin/env python3
"""Trains a LoRA adapter of SmolLM2 with PEFT, once for each machine: rank 16 on all linear modules, 200 steps on the calibration text.

    trainedadapter.py      makes the folder smollm2-lora in the cache

The seed is fixed. The base is in bf16 and the contexts are short, so that two cores take a few minutes; the adapter is in f32."""

import os
import shutil
import time

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that spin take many times as long on a busy machine

import torch  # noqa: E402
from peft import LoraConfig, get_peft_model  # noqa: E402

import adaptermodels  # noqa: E402
import forward  # noqa: E402
from models import SMOLLM2_HF, say  # noqa: E402
from tools import CACHE, CALIBRATION  # noqa: E402

ADAPTER = CACHE / "smollm2-lora"
RANK, SCALE, STEPS, CONTEXT, RATE = 16, 2, 200, 96, 5e-4


def make():
    """The folder of the adapter."""
    if ADAPTER.exists():
        return ADAPTER
    say("training an adapter of SmolLM2 (a few minutes)")
    part = ADAPTER.with_name(f"{ADAPTER.name}.{os.getpid()}")
    train().save_pretrained(part)
    shutil.rmtree(ADAPTER, ignore_errors=True)
    part.rename(ADAPTER)
    return ADAPTER


def train():
    adaptermodels.quiet()
    torch.manual_seed(7)
    model = get_peft_model(forward.load(SMOLLM2_HF, torch.bfloat16), LoraConfig(
        r=RANK, lora_alpha=SCALE * RANK, lora_dropout=0.05, target_modules="all-linear", task_type="CAUSAL_LM")).train()
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=RATE, weight_decay=0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1, (step + 1) / 20) * (1 - step / STEPS))
    ids = forward.chunks(SMOLLM2_HF, CALIBRATION, STEPS, CONTEXT)
    order = torch.randperm(len(ids)).repeat(STEPS // len(ids) + 1)[:STEPS]
    start, losses = time.monotonic(), []
    for number, context in enumerate(order):
        loss = model(ids[context][None], labels=ids[context][None], use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if number % 20 == 19:
            say(f"step {number + 1}: loss {sum(losses[-20:]) / 20:.3f}, {time.monotonic() - start:.0f} s")
    return model


if __name__ == "__main__":
    print(make())
