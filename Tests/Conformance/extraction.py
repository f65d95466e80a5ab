"""`extract` against NumPy's singular value decomposition, and its adapters in PEFT and transformers."""

import copy
import pathlib
import warnings

import numpy as np
import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel, Qwen2Config, Qwen2ForCausalLM

from tools import CALIBRATION, FIXTURE, folder, resect, resect_json

IDS = torch.arange(2, 66).reshape(2, 32)


def trained(work):
    """The fixture after some steps of a full fine-tuning, in f32: everything differs a little."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(FIXTURE, dtype=torch.float32)
    tokens = AutoTokenizer.from_pretrained(FIXTURE)(CALIBRATION.read_text()[:40000], return_tensors="pt").input_ids[0]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    for step in range(12):
        batch = tokens[step * 512:(step + 1) * 512].reshape(4, 128)
        model(batch, labels=batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return save(model, work, "trained")


def save(model, work, name):
    path = pathlib.Path(work) / name
    model.save_pretrained(path)
    return path


def weights(path):
    return {name: tensor.double().numpy() for name, tensor in load_file(path / "model.safetensors").items()}


def logits(model):
    with torch.no_grad():
        return model.eval()(IDS).logits


def adapted(base, adapter):
    """The logits of a base with an adapter, and the keys that PEFT wants and the file lacks, or the other way round."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model = PeftModel.from_pretrained(model, adapter)
    complaints = [str(item.message) for item in said if "key" in str(item.message)]
    wanted = get_peft_model_state_dict(model, save_embedding_layers=False)
    stored = load_file(pathlib.Path(adapter) / "adapter_model.safetensors")
    return logits(model), complaints + sorted(set(wanted) ^ set(stored))


def energies(checks, base, tuned, work):
    before, after = weights(FIXTURE), weights(tuned)
    names = [name for name in before if name.endswith("proj.weight")]
    values = {name: np.linalg.svd(after[name] - before[name], compute_uv=False)**2 for name in names}
    answer = resect_json("extract", base, tuned, "-o", f"{work}/a16", "--rank", "16")
    held = {module["name"] + ".weight": module["held"] for module in answer["modules"]}
    checks.equal("every projection has a change", set(names) ^ set(held))
    best = {name: values[name][:16].sum() / values[name].sum() for name in names}
    checks.note(f"rank 16 can hold {min(best.values()):.3f} to {max(best.values()):.3f} of a difference's squared norm")
    checks.below("rank 16: held less than numpy's best", max(best[name] - held[name] for name in names), 1e-6)
    checks.below("rank 16: held more than numpy's best", max(held[name] - best[name] for name in names), 1e-9)
    stored = load_file(f"{work}/a16/adapter_model.safetensors")
    error = 0.0
    for name in names:
        module = "base_model.model." + name.removesuffix(".weight")
        product = stored[module + ".lora_B.weight"].double().numpy() @ stored[module + ".lora_A.weight"].double().numpy()
        rest = ((after[name] - before[name] - product)**2).sum() / values[name].sum()
        error = max(error, abs(1 - rest - held[name]))
    checks.below("the matrices in f32 hold what the table says", error, 1e-6)
    answer = resect_json("extract", base, tuned, "-o", f"{work}/e", "--energy", "0.8")
    wrong = []
    for module in answer["modules"]:
        shares = np.cumsum(values[module["name"] + ".weight"]) / values[module["name"] + ".weight"].sum()
        rank = int(np.argmax(shares >= 0.8)) + 1
        # A share that is 0.8 to a millionth may be on either side.
        if module["rank"] != rank and abs(shares[rank - 1] - 0.8) > 1e-6:
            wrong.append(f"{module['name']}: {module['rank']}, numpy {rank}")
    checks.equal("--energy 0.8 takes numpy's smallest ranks", wrong)
    return answer


def growing(checks, tuned, work):
    wanted = logits(AutoModelForCausalLM.from_pretrained(tuned, dtype=torch.float32))
    base = logits(AutoModelForCausalLM.from_pretrained(FIXTURE, dtype=torch.float32))
    errors = [(0, (base - wanted).abs().max().item())]
    for rank in (4, 16, 64, 256):
        resect("extract", FIXTURE, tuned, "-o", f"{work}/r{rank}", "--rank", str(rank))
        found, complaints = adapted(FIXTURE, f"{work}/r{rank}")
        checks.equal(f"rank {rank}: PEFT misses no key and knows all", complaints)
        errors.append((rank, (found - wanted).abs().max().item()))
    checks.note("largest error of a logit by rank: " + ", ".join(f"{rank}: {error:.2g}" for rank, error in errors))
    checks.check("the error falls as the rank grows", all(a[1] > b[1] for a, b in zip(errors, errors[1:])))
    checks.below("with all ranks it is the trained model", errors[-1][1], 1e-4)
    found, complaints = adapted(FIXTURE, f"{work}/e")
    checks.equal("ranks by energy: PEFT misses no key and knows all", complaints)
    checks.below("ranks by energy: nearer than the base", (found - wanted).abs().max().item(), errors[0][1])


def families(checks, work):
    """Rows that are inputs and biases (GPT-2), biases of some Linears (Qwen2): changes of rank 3, held exactly."""
    torch.manual_seed(1)
    models = {
        "gpt2": GPT2LMHeadModel(GPT2Config(n_layer=2, n_embd=64, n_head=4, vocab_size=128, n_positions=64)),
        "qwen2": Qwen2ForCausalLM(Qwen2Config(
            hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
            vocab_size=128, tie_word_embeddings=False)),
    }
    for name, model in models.items():
        base = save(model, work, name)
        changed = copy.deepcopy(model)
        with torch.no_grad():
            for key, value in changed.named_parameters():
                linear = value.ndim == 2 and not any(part in key for part in ("wte", "wpe", "embed_tokens", "lm_head"))
                if linear:
                    value += 0.1 * torch.randn(value.shape[0], 3) @ torch.randn(3, value.shape[1])
                elif value.ndim == 1 or "embed" in key:
                    value += 0.1 * torch.randn_like(value)
        tuned = save(changed, work, name + "-tuned")
        resect("extract", base, tuned, "-o", f"{work}/{name}-adapter", "--rank", "8")
        found, complaints = adapted(base, f"{work}/{name}-adapter")
        checks.equal(f"{name}: PEFT misses no key and knows all", complaints)
        checks.below(f"{name}: base and adapter are the trained model", (found - logits(changed)).abs().max().item(), 1e-4)


def check(checks):
    with folder() as work:
        tuned = trained(work)
        energies(checks, FIXTURE, tuned, work)
        growing(checks, tuned, work)
        families(checks, work)
