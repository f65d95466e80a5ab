"""A training step against PEFT on PyTorch: 4 x 512 tokens of SmolLM2 without four layers, rank 8 on the MLP.

A step is the difference of two runs of resect, one with more steps; PyTorch's is timed in a process of its own, so that its
memory can be read. The note gives the highest memory of both.
"""

import json
import os
import pathlib
import resource
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "Conformance"))

from models import SMOLLM2_HF  # noqa: E402
from rounds import THREADS, medians, row  # noqa: E402
from tools import CALIBRATION, RESECT  # noqa: E402

STEPS = 4


def peer():
    """Runs in a process of its own: prints the times of a step and the highest memory."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(int(THREADS))
    model = AutoModelForCausalLM.from_pretrained(SMOLLM2_HF, dtype=torch.float32)
    model.model.layers = torch.nn.ModuleList([layer for n, layer in enumerate(model.model.layers) if not 12 <= n < 16])
    model.config.num_hidden_layers = len(model.model.layers)
    model = get_peft_model(model, LoraConfig(
        r=8, lora_alpha=16, lora_dropout=0.05, target_modules=["gate_proj", "up_proj", "down_proj"], task_type="CAUSAL_LM"))
    adapters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(adapters, lr=1e-4, weight_decay=0)
    ids = torch.randint(0, 49152, (4, 512))
    for step in range(1 + STEPS):
        if step == 1:
            start, processor = time.monotonic(), time.process_time()
        model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
        torch.nn.utils.clip_grad_norm_(adapters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
    print(json.dumps([(time.monotonic() - start) / STEPS, (time.process_time() - processor) / STEPS,
                      resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024]))


def theirs(memory):
    said = subprocess.run([sys.executable, __file__], check=True, capture_output=True, text=True).stdout
    wall, processor, most = json.loads(said.splitlines()[-1])
    memory["PEFT"] = most
    return wall, processor


def process(work, steps):
    """Wall-clock and processor time of a whole run, and its highest memory."""
    command = [RESECT, "heal", SMOLLM2_HF, "--layers", "12:16", "--corpus", CALIBRATION, "--heal-samples", "4",
               "--method", "lora", "--teacher", "none", "--adapter-only", "--steps", str(steps), "--batch", "4", "-o",
               work / "adapter", "--force", "--quiet", "--threads", THREADS]
    start = time.monotonic()
    child = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"resect heal ended with status {status}")
    return time.monotonic() - start, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024


def ours(work, memory):
    few, many = process(work, 1), process(work, 1 + STEPS)
    memory["resect"] = many[2]
    return tuple((many[n] - few[n]) / STEPS for n in range(2))


def measure(work, options):
    memory = {}
    found = medians({"resect": lambda: ours(work, memory), "PEFT": lambda: theirs(memory)}, options.rounds)
    share = memory["resect"] / memory["PEFT"]
    print(f"bench: training: memory {memory['resect'] / 1e6:.0f} MB, PEFT {memory['PEFT'] / 1e6:.0f} MB, "
          f"ratio {share:.2f} (target 0.50)", file=sys.stderr, flush=True)
    return [row("a training step, 4 x 512 tokens of SmolLM2", found["resect"], "PEFT", found["PEFT"], 0.6)]


if __name__ == "__main__":
    peer()
