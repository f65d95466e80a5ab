"""`heal`: the fitted weights against the same heal in PyTorch and f64, for llamas and for families whose layers differ from theirs, what
transformers makes of the result, the recipe for training elsewhere, and figures of SmolLM2 by kind of text."""

import json
import math
import os
import pathlib
import shutil
import subprocess
import sys

import torch
import transformers

import families
import forward
import healreference
import tensorfiles
from models import SMOLLM2_HF
from tokens import GEMMA3
from tools import CALIBRATION, EVALUATION, FIXTURE, RESECT, failure, folder, resect, resect_json

CONTEXT, SAMPLES, CHOOSING, STEPS = 64, 96, 16, 150

# Small models of other families, which are trained first: a model of random weights has nothing to give back.
SIZES = dict(vocab_size=2048, hidden_size=64, intermediate_size=96, num_hidden_layers=6, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=256, bos_token_id=0, eos_token_id=0, pad_token_id=None)
FAMILIES = {
    "gemma3": ("Gemma3TextConfig", dict(head_dim=16, query_pre_attn_scalar=16, sliding_window=24)),
    "phi": ("PhiConfig", dict(partial_rotary_factor=0.5)),
    "granite": ("GraniteConfig", dict(residual_multiplier=0.4, embedding_multiplier=3.0, logits_scaling=2.0, attention_multiplier=0.25)),
    "gpt2": ("GPT2Config", dict(n_positions=256)),
    "olmo2": ("Olmo2Config", dict()),
}


def check(checks):
    with folder() as work:
        work = pathlib.Path(work)
        whole = work / "whole"
        resect("convert", FIXTURE, "-o", whole, "--dtype", "f32")
        for method, layers, seed in (("refit", "3:6", 0), ("refit", "2,5:7,11", 7), ("bridge", "3:6", 1)):
            with checks.section(f"heal {method} {layers}"):
                fitted(checks, whole, work / f"{method}-{seed}", method, layers, seed)
        for family in FAMILIES:
            with checks.section(f"heal {family}"):
                other(checks, work, family)
        with checks.section("heal --recipe"):
            recipe(checks, whole, work)
    with checks.section("heal smollm2 12:16"), folder() as work:
        kinds(checks, pathlib.Path(work), "smollm2", SMOLLM2_HF, "12:16", 96, 512, 0.5)
    with checks.section("heal gemma3-270m 8:10"), folder() as work:
        work = pathlib.Path(work)
        resect("convert", GEMMA3, "-o", work / "whole")
        kinds(checks, work, "gemma3-270m", work / "whole", "8:10", 48, 256, 0.3)


def numbers(text):
    """The layers of a list such as 2,5:7."""
    parts = [part.split(":") for part in text.split(",")]
    return [layer for part in parts for layer in range(int(part[0]), int(part[-1]) + (len(part) == 1))]


def contexts(path, text, length):
    return [list(context) for context in forward.chunks(path, text, 10 ** 9, length).tolist()]


def trained(path, family):
    """A small model that knows some of the calibration text, with the fixture's tokenizer."""
    kind, members = FAMILIES[family]
    torch.manual_seed(3)
    model = transformers.AutoModelForCausalLM.from_config(getattr(transformers, kind)(**SIZES, **members), dtype=torch.float32)
    ids = torch.tensor(contexts(FIXTURE, CALIBRATION, CONTEXT))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(STEPS):
        batch = ids[torch.randint(len(ids), (12,))]
        loss = torch.nn.functional.cross_entropy(model(batch, use_cache=False).logits[:, :-1].flatten(0, 1), batch[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.save_pretrained(path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(FIXTURE / name, path)


def other(checks, work, family):
    """The heal of another family, and the logits of the result in transformers and in resect."""
    whole, output = work / family, work / f"{family}-healed"
    trained(whole, family)
    model = fitted(checks, whole, output, "refit", "2:4", 0, family)
    ids = torch.tensor(contexts(whole, EVALUATION, CONTEXT)[0])
    with torch.no_grad():
        theirs = model.float()(ids[None], use_cache=False).logits[0]
    states = families.States()
    try:
        ours = states(output, work, ids)[1]
    finally:
        states.end()
    checks.below(f"heal {family}: logits of the healed model, largest difference in standard deviations",
                 ((ours - theirs).abs().max() / theirs.std()).item(), 1e-4)


def fitted(checks, whole, output, method, layers, seed, family="llama"):
    """Weights, gains and the choice to keep a weight; then the result in transformers, which is returned."""
    label = f"heal {family} {method} {layers}"
    said = resect_json("heal", whole, "-o", output, "--layers", layers, "--method", method, "--corpus", CALIBRATION, "--corpus",
                       EVALUATION, "--heal-samples", SAMPLES, "--context", CONTEXT, "--seed", seed)
    model = forward.load(whole, torch.float64)
    texts = [contexts(whole, text, CONTEXT) for text in (CALIBRATION, EVALUATION)]
    parts = healreference.split(texts, SAMPLES, CHOOSING, seed)
    walk = healreference.Walk(model, *parts, numbers(layers), method)
    theirs = walk.run()
    old = forward.load(whole, torch.float64).state_dict()
    changes = {change["tensor"]: change for change in said["weights"]}
    checks.equal(f"{label}: the weights that are fitted", sorted(set(changes) ^ set(theirs)))
    checks.equal(f"{label}: the weights that are kept", [
        name for name, change in theirs.items() if changes[name]["kept"] != change["kept"]])
    checks.below(f"{label}: the gains, largest difference",
                 max(abs(changes[name]["gain"] - change["gain"]) for name, change in theirs.items()), 1e-5)
    for name, loss_of in (("whole", walk.whole), ("cut", walk.cut)):
        checks.below(f"{label}: the loss of the {name} model, difference", abs(said[f"{name}Loss"] - loss_of), 1e-5)
    kept = [layer for layer in range(len(walk.layers)) if layer not in numbers(layers)]
    healed, info = forward.load(output, torch.float64, output_loading_info=True)
    checks.equal(f"{label}: loads in transformers with no missing or unexpected key",
                 [f"{kind} {keys}" for kind, keys in info.items() if keys])
    worst = far = 0
    state = healed.state_dict()
    for index, layer in enumerate(kept):
        for part in filter(None, [*walk.layers[layer].products.values(), *walk.layers[layer].norms.values()]):
            name = f"{walk.layers[layer].name}.{part}.weight"
            found = state[f"{walk.layers[layer].name.removesuffix(str(layer))}{index}.{part}.weight"]
            if not theirs.get(name, {"kept": False})["kept"]:
                far = max(far, (found - old[name]).abs().max().item())
                continue
            # The states are in f32, and inputs of little weight are amplified by the solution: what counts is the outputs.
            expected, gram = theirs[name]["weight"], theirs[name].get("gram")
            if theirs[name].get("turned"):
                found, expected = found.T, expected.T
            if gram is not None:
                size = lambda weight: ((weight @ gram) * weight).sum().sqrt()
                worst = max(worst, (size(found - expected) / size(expected)).item())
            far = max(far, ((found - expected).norm() / expected.norm()).item())
    # resect sums products of 512 rows in f32. GPT-2's GELU gives the inputs a large mean, beside which their small directions
    # lose digits: the reference with sums of this kind differs from itself in f64 by 3e-5 of the outputs and 4e-4 of the weights.
    loss_of_digits = 20 if family == "gpt2" else 1
    checks.below(f"{label}: outputs of the fitted weights, relative difference", worst, 1e-5 * loss_of_digits)
    checks.below(f"{label}: the weights themselves, relative difference", far, 2e-4 * loss_of_digits)
    fitted_names = tuple(f"{part}.weight" for layer in walk.layers
                         for part in filter(None, [*layer.products.values(), *layer.norms.values()]))
    others = lambda path: {name: value for name, value in tensorfiles.safetensors_tensors(path).items()
                           if not name.endswith(fitted_names)}
    plain = output.with_name(output.name + "-plain")
    resect("cut", whole, "-o", plain, "--layers", layers)
    checks.equal(f"{label}: all other weights are those of the cut", tensorfiles.tensor_differences(others(output), others(plain)))
    ours = math.log(resect_json("evaluate", output, "--corpus", EVALUATION, "--context", 256)["perplexity"])
    checks.below(f"{label}: loss by evaluate and by transformers, difference",
                 abs(ours - loss(healed, contexts(whole, EVALUATION, 256))), 1e-5)
    cut = math.log(resect_json("evaluate", plain, "--corpus", EVALUATION, "--context", 256)["perplexity"])
    gains = any(change["kept"] for change in theirs.values())
    checks.check(f"{label}: the heal gains, or is left out", ours < cut if gains else ours == cut, f"loss {ours:.4f}, {cut:.4f} after the cut alone")
    return healed


@torch.no_grad()
def loss(model, chunks):
    """The mean loss of the second halves of contexts, in nats per token."""
    ids = torch.tensor(chunks)
    half = ids.shape[1] // 2
    logits = model(ids, use_cache=False).logits[:, half:-1]
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, half + 1:].flatten()).item()


def recipe(checks, whole, work):
    """The folder for a training elsewhere: its commands one after the other, on the CPU."""
    label, place = "heal --recipe", work / "recipe"
    resect("heal", whole, "-o", work / "cut.gguf", "--layers", "3:6", "--corpus", CALIBRATION, "--context", CONTEXT,
           "--heal-samples", SAMPLES, "--recipe", place)
    environment = os.environ | {"RESECT": RESECT, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}

    def command(*arguments):
        done = subprocess.run([str(a) for a in arguments], cwd=place, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise failure([str(a) for a in arguments], done.returncode, done.stderr)

    command("sh", "prune.sh")
    _, info = forward.load(place / "pruned", output_loading_info=True)
    checks.equal(f"{label}: prune.sh makes a model that loads with no missing or unexpected key",
                 [f"{kind} {keys}" for kind, keys in info.items() if keys])
    few = ("--steps", 20, "--warmup", 4, "--rate", 5e-4, "--context", CONTEXT, "--every", 10, "--evaluation", 4)
    command(sys.executable, "train.py", *few)
    log = json.loads((place / "adapter" / "log.json").read_text())
    checks.check(f"{label}: train.py brings the divergence from the whole model down", log[-1]["mean"] < log[0]["mean"],
                 f"{log[0]['mean']:.4f} to {log[-1]['mean']:.4f} on {len(log[0]['kinds'])} kinds of text")
    weights = lambda name: (place / name / "adapter_model.safetensors").read_bytes()
    # accelerate's own launcher starts one process on a CPU, whatever it is told; torch's starts two, which accelerate finds.
    command(sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", 2, "train.py", *few, "--output", "two")
    two = json.loads((place / "two" / "log.json").read_text())
    checks.below(f"{label}: two processes train as one but for dropout, difference of the divergences",
                 abs(two[-1]["mean"] / log[-1]["mean"] - 1), 1e-2)
    command(sys.executable, "train.py", *few, "--output", "stopped", "--patience", 0)
    command(sys.executable, "train.py", *few, "--output", "stopped", "--resume")
    checks.check(f"{label}: a training that goes on gives the same adapter", weights("stopped") == weights("adapter"))
    resect("merge", place / "pruned", "--adapter", place / "adapter", "-o", place / "healed")
    from peft import PeftModel
    ids = torch.tensor(contexts(whole, EVALUATION, CONTEXT)[:4])
    with torch.no_grad():
        theirs = PeftModel.from_pretrained(forward.load(place / "pruned"), str(place / "adapter")).eval()(ids).logits
        ours = forward.load(place / "healed")(ids).logits
    checks.below(f"{label}: the merged model against peft, largest difference of logits in standard deviations",
                 ((ours - theirs).abs().max() / theirs.std()).item(), 1e-4)


def kinds(checks, work, name, whole, layers, samples, context, least):
    """A real model without some layers, fitted on the text that comes with resect: the share of the lost log-perplexity that is
    given back on kinds of text that were neither fitted nor chosen with."""
    cut, healed, label = work / "cut", work / "healed", f"heal {name} {layers}"
    resect("cut", whole, "-o", cut, "--layers", layers)
    resect("heal", whole, "-o", healed, "--layers", layers, "--corpus", "builtin", "--heal-samples", samples, "--context", context,
           "--recipe", work / "recipe")
    found = {}
    for kind in json.loads((work / "recipe" / "recipe.json").read_text())["judges"]:
        text = work / "text"
        text.write_text("".join((work / "recipe" / name).read_text() for name in kind["files"]))
        losses = [math.log(resect_json("evaluate", model, "--corpus", text, "--context", context, "--samples", 8)["perplexity"])
                  for model in (whole, cut, healed)]
        found[kind["kind"]] = (losses[1] - losses[2]) / (losses[1] - losses[0])
        checks.note("{}, {}: perplexity {:.2f} whole, {:.2f} cut, {:.2f} healed, share given back {:.2f}".format(
            label, kind["kind"], *map(math.exp, losses), found[kind["kind"]]))
    for kind in ("builtin/perl", "builtin/science"):
        checks.check(f"{label}: share given back on {kind}, which nothing was fitted on", found[kind] >= least,
                     f"{found[kind]:.2f} (at least {least})")
