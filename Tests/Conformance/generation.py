"""`generate` against transformers and llama.cpp, and `evaluate --reference` against llama-perplexity --kl-divergence."""

import re

import torch
from transformers import AutoTokenizer

import forward
from models import SMOLLM2_HF, gguf_path
from tools import EVALUATION, FIXTURE, THREADS, folder, generate, llama, resect, resect_json

CONTEXT, CHUNKS = 512, 4
RUN = ("-f", EVALUATION, "-c", CONTEXT, "--chunks", CHUNKS, "-t", THREADS)
CUTS = {"fixture": "5:8", "smollm2": "12:16"}
TOKENS = 48
PROMPTS = ("And it came to pass, that", "The capital of France is", "def fibonacci(n):\n", "Zwölf Boxkämpfer jagen",
           "1. Wash the potatoes.\n2.", "<|im_start|>user\nName three colours.<|im_end|>\n<|im_start|>assistant\n")


def check(checks):
    for name, source in (("fixture", FIXTURE), ("smollm2", SMOLLM2_HF)):
        with checks.section(f"generate {name}"), folder() as work:
            continuations(checks, name, source, work)
        with checks.section(f"divergence {name}"), folder() as work:
            divergence(checks, name, source, work)


@torch.no_grad()
def continuations(checks, name, source, work):
    """The most likely tokens of the whole model and of a cut, by transformers, and of the GGUF file by llama.cpp."""
    tokenizer, exact, cut = AutoTokenizer.from_pretrained(source), gguf_path(name, "f32"), f"{work}/cut"
    resect("cut", source, "-o", cut, "--layers", CUTS[name])
    for title, model, options in (("", forward.load(source), ()),
                                  (f" without {CUTS[name]}", forward.load(type(source)(cut)), ("--layers", CUTS[name]))):
        for prompt in PROMPTS:
            ids = tokenizer(prompt, return_tensors="pt").input_ids
            added = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=TOKENS, do_sample=False,
                                   pad_token_id=0)[0, ids.shape[1]:].tolist()
            if added[-1] in ends(model):
                added.pop()
            found = resect_json("generate", source, "--prompt", prompt, "--tokens", TOKENS, *options)
            label = f"generate {name}{title}, {prompt[:24]!r}"
            checks.equal(f"{label}: tokens of transformers", differences(found["tokens"], added))
            text = tokenizer.decode(added, skip_special_tokens=True)
            checks.check(f"{label}: text of transformers", found["text"] == text, repr(found["text"][:60]))
    for prompt in PROMPTS[:-1]:
        found = resect_json("generate", exact, "--prompt", prompt, "--tokens", TOKENS)["text"].strip()
        for _ in range(5):  # on a busy machine llama.cpp can lose the end of its output: ask again
            theirs = generate(exact, prompt, TOKENS).removesuffix("[end of text]").strip()
            if theirs == found:
                break
        checks.check(f"generate {name} GGUF, {prompt[:24]!r}: text of llama.cpp", theirs == found,
                     f"{found[-40:]!r}, llama.cpp {theirs[-40:]!r}")


def ends(model):
    """The tokens that end a text for transformers."""
    ids = model.generation_config.eos_token_id
    return ids if isinstance(ids, list) else [ids]


def differences(ours, theirs):
    """Where two lists of tokens begin to differ."""
    for index, (a, b) in enumerate(zip(ours, theirs)):
        if a != b:
            return [f"token {index} is {a}, transformers {b}"]
    return [] if len(ours) == len(theirs) else [f"{len(ours)} tokens, transformers {len(theirs)}"]


def divergence(checks, name, source, work):
    """A cut that nobody has written and a quantized file, both held to llama.cpp's figures of the written files."""
    # f32 holds every value of bf16, and llama.cpp computes with it in f32.
    whole, base, cut, exact = gguf_path(name, "f32"), f"{work}/base", f"{work}/cut.gguf", f"{work}/exact.gguf"
    llama("llama-perplexity", "-m", whole, *RUN, "--kl-divergence-base", base)
    resect("cut", whole, "-o", cut, "--layers", CUTS[name])
    agree(checks, f"divergence of {name} without {CUTS[name]}, planned", theirs(cut, base),
          ours(source, source, "--layers", CUTS[name]))
    quantized = f"{work}/quantized.gguf"
    resect("quantize", gguf_path(name), "-o", quantized, "--type", "Q4_0")
    # llama.cpp rounds activations to 8 bits where weights are quantized; with the same weights in f32 it does not.
    resect("convert", quantized, "-o", exact, "--dtype", "f32")
    agree(checks, f"divergence of {name} in Q4_0, GGUF from a folder", theirs(exact, base), ours(quantized, source))
    same = ours(gguf_path(name), source)
    checks.check(f"divergence of {name}: none between a folder and its GGUF",
                 same["klDivergence"] < 1e-7 and same["topOneAgreement"] == 1, f"{same['klDivergence']:.3g} (below 1e-7)")


def ours(model, reference, *options):
    return resect_json("evaluate", model, "--reference", reference, "--corpus", EVALUATION, "--context", CONTEXT,
                       "--samples", CHUNKS, *options)


def theirs(path, base):
    """The figures of llama-perplexity."""
    patterns = {"klDivergence": r"Mean +KLD: +(-?[0-9.]+)", "klStandardError": r"Mean +KLD: .*± +([0-9.]+)",
                "topOneAgreement": r"Same top p: +([0-9.]+)", "perplexity": r"Mean PPL\(Q\) +: +([0-9.]+)",
                "referencePerplexity": r"Mean PPL\(base\) +: +([0-9.]+)",
                "perplexityRatio": r"Mean PPL\(Q\)/PPL\(base\) +: +([0-9.]+)",
                "referencePerplexityError": r"Mean PPL\(base\) +: .*± +([0-9.]+)",
                "perplexityRatioError": r"Mean PPL\(Q\)/PPL\(base\) +: .*± +([0-9.]+)"}
    for _ in range(4):  # its log is written by another thread, and is sometimes lost at the end
        said = llama("llama-perplexity", "-m", path, *RUN, "--kl-divergence-base", base, "--kl-divergence")
        found = {key: re.search(pattern, said) for key, pattern in patterns.items()}
        missing = [key for key, match in found.items() if not match]
        if not missing:
            break
    if missing:
        raise ValueError(f"llama-perplexity gave no {', '.join(missing)} for {path}")
    return {key: float(match[1]) for key, match in found.items()}


def agree(checks, label, theirs, ours):
    """Within 1 %, and within 0.5 points for the share of equal first tokens: llama.cpp keeps logits in 16 bits, so that close
    ones become equal."""
    for key in ("klDivergence", "klStandardError", "perplexity", "referencePerplexity", "perplexityRatio",
                "referencePerplexityError", "perplexityRatioError"):
        limit = 0.02 if key == "klStandardError" else 0.01  # it is printed with few digits
        apart = ours[key] / theirs[key] - 1
        checks.check(f"{label}: {key}", abs(apart) < limit,
                     f"{ours[key]:.6g}, llama-perplexity {theirs[key]:.6g}, apart {100 * apart:+.3f} % (within {100 * limit:.0f} %)")
    points = 100 * ours["topOneAgreement"] - theirs["topOneAgreement"]
    checks.check(f"{label}: topOneAgreement", abs(points) < 0.5, f"{points:+.3f} points apart (within 0.5)")
