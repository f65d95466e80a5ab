#!/usr/bin/env python3
"""Heals a pruned model with a LoRA adapter: it learns to predict what the whole model predicts (distillation).

    python train.py                                      one GPU, or the CPU
    accelerate launch --num_processes 8 train.py         several GPUs; README.md has several machines

The values are those of recipe.json and adapter_config.json beside this file; options replace them.
"""

import argparse
import contextlib
import json
import math
import pathlib
import random

import torch
from accelerate import Accelerator
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from transformers import AutoModelForCausalLM, AutoTokenizer

HERE = pathlib.Path(__file__).resolve().parent
PIECE = 512  # tokens whose logits are compared at once


def options():
    values = json.loads((HERE / "recipe.json").read_text())
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=values["model"], help="the pruned model")
    parser.add_argument("--whole", default=values["whole"], help="the model before the cut, the teacher")
    parser.add_argument("--teacher", choices=("logits", "none"), default=values["teacher"],
                        help="none: train on the text itself, which adapts to it as much as it heals")
    parser.add_argument("--output", default=values["output"], help="the folder for the adapter")
    parser.add_argument("--steps", type=int, default=values["steps"])
    parser.add_argument("--rate", type=float, default=values["rate"], help="the peak of the learning rate")
    parser.add_argument("--warmup", type=int, default=values["warmup"], help="steps until the peak")
    parser.add_argument("--batch", type=int, default=values["batch"], help="contexts in a step, on all devices together")
    parser.add_argument("--device-batch", type=int, default=values["device_batch"], help="contexts at once on a device")
    parser.add_argument("--context", type=int, default=values["context"], help="tokens in a context")
    parser.add_argument("--samples", type=int, help="at most so many contexts, of all kinds alike; those of all steps by default")
    parser.add_argument("--evaluation", type=int, default=values["evaluation"], help="contexts of each kind that judge")
    parser.add_argument("--every", type=int, default=values["every"], help="steps between evaluations")
    parser.add_argument("--patience", type=int, default=values["patience"],
                        help="stop after so many evaluations without a gain")
    parser.add_argument("--seed", type=int, default=values["seed"])
    parser.add_argument("--no-four-bit", action="store_true",
                        help="hold the pruned model in bf16 on a GPU, and not as NF4; on the CPU it is in f32")
    parser.add_argument("--resume", action="store_true", help="go on from the last evaluation")
    result = parser.parse_args()
    result.texts, result.judges = values["texts"], values["judges"]
    if result.samples is None:
        result.samples = result.steps * result.batch
    return result


def contexts(files, tokenizer, length):
    """The contexts of some files, one after the other."""
    ids = []
    for name in files:
        text = (HERE / name).read_text(encoding="utf-8")
        ids += tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    # What the tokenizer puts in front of every text; not all of them say so in add_bos_token.
    plain = tokenizer("a", add_special_tokens=False)["input_ids"]
    begin = tokenizer("a")["input_ids"]
    begin = begin[:begin.index(plain[0])]
    step = length - len(begin)
    return [begin + ids[start:start + step] for start in range(0, len(ids) - step + 1, step)]


def read(args, tokenizer):
    """Contexts to train on, the kinds in turn, and contexts of each kind to judge, which are no part of them."""
    judging = {}
    for kind in args.judges:
        judging[kind["kind"]] = contexts(kind["files"], tokenizer, args.context)[:args.evaluation]
    seen = {tuple(context) for group in judging.values() for context in group}
    kinds = []
    for kind in args.texts:
        found = []
        for context in contexts(kind["files"], tokenizer, args.context):
            if tuple(context) not in seen:  # text that occurs twice is used once
                seen.add(tuple(context))
                found.append(context)
        if kind["kind"] not in judging:
            held = min(args.evaluation, len(found) // 8)
            judging[kind["kind"]] = found[len(found) - held:]
            del found[len(found) - held:]
        random.Random(args.seed).shuffle(found)
        kinds.append(found)
    training = [kind[index] for index in range(max(map(len, kinds), default=0)) for kind in kinds if index < len(kind)]
    return training[:args.samples], {kind: found for kind, found in judging.items() if found}


def load(path, accelerator, four_bit=False):
    cuda = accelerator.device.type == "cuda"
    settings = {"dtype": torch.bfloat16 if cuda else torch.float32}
    if cuda:
        settings["device_map"] = {"": accelerator.local_process_index}
    if four_bit:
        from transformers import BitsAndBytesConfig
        settings["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16)
    model = AutoModelForCausalLM.from_pretrained(HERE / path if (HERE / path).exists() else path, **settings)
    model.config.use_cache = False
    return model if cuda else model.to(accelerator.device)


def piece_loss(student, teacher, targets):
    """The sum over tokens of KL(teacher || student), or of the cross-entropy with the text."""
    student = student.float().log_softmax(-1)
    if teacher is None:
        return torch.nn.functional.nll_loss(student, targets, reduction="sum")
    return torch.nn.functional.kl_div(student, teacher.float().log_softmax(-1), reduction="sum", log_target=True)


def loss_of(ids, model, teacher):
    """The sum of the losses of all tokens that follow another one, and their number."""
    student = model(input_ids=ids).logits[:, :-1].flatten(0, 1)
    whole = None
    if teacher is not None:
        with torch.no_grad():
            whole = teacher(input_ids=ids).logits[:, :-1].flatten(0, 1)
    targets = ids[:, 1:].flatten()
    total = student.new_zeros((), dtype=torch.float32)
    for start in range(0, len(student), PIECE):
        part = slice(start, start + PIECE)
        # The logits of a piece in f32 are made again on the way back, so that they need not be kept.
        total = total + torch.utils.checkpoint.checkpoint(
            piece_loss, student[part], None if whole is None else whole[part], targets[part], use_reentrant=False)
    return total, len(student)


@torch.no_grad()
def judge(judging, model, teacher, accelerator):
    """For each kind the mean KL divergence from the whole model, and the cross-entropy, in nats per token."""
    model.eval()
    result = {}
    for kind, group in judging.items():
        sums = torch.zeros(3, dtype=torch.float64)
        for context in group[accelerator.process_index::accelerator.num_processes]:
            ids = torch.tensor([context], device=accelerator.device)
            loss, count = loss_of(ids, model, None)
            divergence = loss_of(ids, model, teacher)[0] if teacher is not None else loss
            sums += torch.tensor([divergence.item(), loss.item(), count], dtype=torch.float64)
        # Metal has no f64; these are sums of a few thousand tokens.
        sums = accelerator.reduce(sums.to(accelerator.device, torch.float32), reduction="sum").double().cpu()
        result[kind] = {"divergence": (sums[0] / sums[2]).item(), "loss": (sums[1] / sums[2]).item()}
    model.train()
    return result


def rate_at(step, args):
    """Linear warm-up, then a cosine to zero."""
    if step < args.warmup:
        return args.rate * (step + 1) / args.warmup
    return args.rate * 0.5 * (1 + math.cos(math.pi * (step - args.warmup) / max(1, args.steps - args.warmup)))


def main():
    args = options()
    accelerator = Accelerator()
    say = accelerator.print
    cuda = accelerator.device.type == "cuda"
    # bitsandbytes changes its layout between evaluation and training on a CPU, and computes nonsense then.
    four_bit = cuda and not args.no_four_bit
    share = args.batch / accelerator.num_processes
    if share != int(share) or share % min(args.device_batch, share):
        raise SystemExit(f"--batch {args.batch} does not split into {accelerator.num_processes} devices with "
                         f"{args.device_batch} contexts at once")
    at_once = min(args.device_batch, int(share))
    torch.manual_seed(args.seed)
    tokenizer = AutoTokenizer.from_pretrained(HERE / args.model if (HERE / args.model).exists() else args.model)
    training, judging = read(args, tokenizer)
    if len(training) < args.batch:
        raise SystemExit(f"the texts fill {len(training)} contexts of {args.context} tokens, less than one step of {args.batch}")
    passes = args.steps * args.batch / len(training)
    say(f"{len(training)} contexts of {args.context} tokens, {passes:.1f} passes; judged on {', '.join(judging)}")
    if passes > 2:
        say("with more than two passes a model learns the text by heart: give more text, or fewer --steps")

    config = LoraConfig.from_pretrained(HERE)
    config.inference_mode = False
    model = load(args.model, accelerator, four_bit)
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.enable_input_require_grads()
    model = get_peft_model(model, config)
    teacher = load(args.whole, accelerator).eval().requires_grad_(False) if args.teacher == "logits" else None
    if teacher is not None and teacher.config.get_text_config().vocab_size != model.config.get_text_config().vocab_size:
        raise SystemExit("the whole model has another vocabulary than the pruned one")
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=args.rate, weight_decay=0.0)
    model, optimizer = accelerator.prepare(model, optimizer)

    output = HERE / args.output
    state_file = output / "training-state.pt"
    start, best, waited, log = 0, math.inf, 0, []
    if args.resume and state_file.exists():
        state = torch.load(state_file, map_location="cpu", weights_only=True)
        set_peft_model_state_dict(accelerator.unwrap_model(model), state["adapter"])
        optimizer.load_state_dict(state["optimizer"])
        start, best, waited, log = state["step"], state["best"], state["waited"], state["log"]
        say(f"goes on at step {start}")

    def evaluate(step):
        """Judges, and keeps the adapter if it is the best so far."""
        nonlocal best, waited
        figures = judge(judging, model, teacher, accelerator)
        mean = sum(figure["divergence"] for figure in figures.values()) / len(figures)
        word = "divergence" if teacher is not None else "loss"
        say(f"step {step}: {word} {mean:.4f}  " + "  ".join(
            f"{kind} {figure['divergence']:.4f}" for kind, figure in figures.items()))
        log.append({"step": step, "mean": mean, "kinds": figures})
        waited = 0 if mean < best else waited + 1
        if accelerator.is_main_process:
            output.mkdir(parents=True, exist_ok=True)
            whole = accelerator.unwrap_model(model)
            if mean < best:
                whole.save_pretrained(output)
            (output / "log.json").write_text(json.dumps(log, indent=2) + "\n")
            unfinished = state_file.with_suffix(".partial")
            torch.save({"adapter": get_peft_model_state_dict(whole), "optimizer": optimizer.state_dict(), "step": step,
                        "best": min(best, mean), "waited": waited, "log": log}, unfinished)
            unfinished.replace(state_file)
        best = min(best, mean)
        accelerator.wait_for_everyone()

    if start == 0:
        evaluate(0)
    order = []
    while len(order) < args.steps * args.batch:
        # The first pass keeps the kinds in turn; later ones are shuffled.
        indices = list(range(len(training)))
        if order:
            random.Random(args.seed + len(order)).shuffle(indices)
        order += indices
    model.train()
    for step in range(start, args.steps):
        if waited >= args.patience:
            say(f"no gain in {waited} evaluations: stops")
            break
        # Dropout depends on the step and the device alone, so that a training that goes on gives the same adapter.
        torch.manual_seed(args.seed + step * accelerator.num_processes + accelerator.process_index)
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step, args)
        own = order[step * args.batch:(step + 1) * args.batch][accelerator.process_index::accelerator.num_processes]
        summed = 0.0
        for first in range(0, len(own), at_once):
            ids = torch.tensor([training[index] for index in own[first:first + at_once]], device=accelerator.device)
            is_last = first + at_once >= len(own)
            with contextlib.nullcontext() if is_last else accelerator.no_sync(model):
                loss, count = loss_of(ids, model, teacher)
                loss = loss * (len(ids) / count / len(own))
                accelerator.backward(loss)
            summed += loss.item()
        mean = accelerator.reduce(torch.tensor(summed, device=accelerator.device), reduction="mean").item()
        if not math.isfinite(mean):
            raise SystemExit(f"the loss of step {step + 1} is {mean}; {args.output} has the best adapter so far: try a lower --rate")
        accelerator.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if (step + 1) % 10 == 0:
            say(f"step {step + 1}: training loss {mean:.4f}")
        if (step + 1) % args.every == 0 or step + 1 == args.steps:
            evaluate(step + 1)
    say(f"the best adapter is in {output}: {best:.4f}, {log[0]['mean']:.4f} before")
    accelerator.end_training()


if __name__ == "__main__":
    main()
