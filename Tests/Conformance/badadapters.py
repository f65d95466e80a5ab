"""Adapters that are wrong, each in one place, and what a refusal of it has to name.

`ADAPTERS` are right ones, which the wrong ones are made from: a model, a configuration. `BAD` has for each wrong one the words that
the message must contain, the right one it comes from, and what is changed: a function of the members of adapter_config.json and of
the tensors, or of the folder."""

import json
import pickle

import torch
from peft.utils import PeftType
from safetensors.torch import save

A, B = "lora_A.weight", "lora_B.weight"
Q, V = "base_model.model.model.layers.1.self_attn.q_proj.", "base_model.model.model.layers.1.self_attn.v_proj."
EMBEDDING, NORM = "base_model.model.model.embed_tokens.", "base_model.model.model.norm.weight"
TOKENS_DELTA = EMBEDDING + "token_adapter.trainable_tokens_delta"
EXPERTS = "base_model.model.model.layers.1.mlp.experts."
MAGNITUDE = Q + "lora_magnitude_vector"
LINEAR = ["q_proj", "v_proj"]

ADAPTERS = {
    "plain": ("llama", dict(target_modules=LINEAR)),
    "dora": ("llama", dict(target_modules=LINEAR, use_dora=True)),
    "embedding": ("llama", dict(target_modules=["embed_tokens", "q_proj"])),
    "saved": ("llama", dict(target_modules=LINEAR, modules_to_save=["embed_tokens"])),
    "tokens": ("llama", dict(target_modules=LINEAR, trainable_token_indices=[7, 3, 90])),
    "experts": ("mixtral", dict(target_modules=LINEAR, target_parameters=["experts.gate_up_proj", "experts.down_proj"])),
    "bias": ("qwen2", dict(target_modules=LINEAR, lora_bias=True)),
    "conv": ("gpt2", dict(target_modules=["c_attn"], fan_in_fan_out=True, bias="lora_only")),
}




def member(**members):
    return lambda config, tensors: config.update(members)


def without(*names):
    def change(config, tensors):
        for name in names:
            del (config if name in config else tensors)[name]
    return change


def tensor(name, value):
    """Another tensor of a name: `value` is a tensor, or makes one from the old one."""
    def change(config, tensors):
        tensors[name] = value(tensors[name]).contiguous() if callable(value) else value
    return change


def renamed(old, new):
    def change(config, tensors):
        for name in list(tensors):
            tensors[name.replace(old, new)] = tensors.pop(name)
    return change


def again(old, new):
    """The tensors of a name under another name, too."""
    def change(config, tensors):
        tensors |= {name.replace(old, new): tensor.clone() for name, tensor in tensors.items() if old in name}
    return change


def both(*changes):
    def change(config, tensors):
        for one in changes:
            one(config, tensors)
    return change


def with_value(value):
    """The old tensor with another first element."""
    def change(old):
        new = old.clone()
        new.view(-1)[0] = value
        return new
    return change


def raw(text):
    """The configuration with a piece of text where it says "MARK", for what Python does not write."""
    return lambda path, config, tensors: (path / "adapter_config.json").write_text(
        json.dumps(config | {"lora_alpha": "MARK"}).replace('"MARK"', text))


def config_text(text):
    return lambda path, config, tensors: (path / "adapter_config.json").write_text(text)


def weights(change):
    return lambda path, config, tensors: (path / "adapter_model.safetensors").write_bytes(change(save(tensors)))


def removed(name):
    return lambda path, config, tensors: (path / name).unlink()


class Running:
    """A pickle of this runs a command where it is loaded without care."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def pickled(path, config, tensors):
    (path / "adapter_model.safetensors").unlink()
    (path / "adapter_model.bin").write_bytes(pickle.dumps({Q + A: Running(path.parent / "ran")}))


def directory(path, config, tensors):
    (path / "adapter_model.safetensors").unlink()
    (path / "adapter_model.safetensors").mkdir()


def wider(config, tensors):
    """As for a model with twice the width."""
    for name, old in tensors.items():
        tensors[name] = torch.cat([old, old], 1 if name.endswith(A) else 0)


NAN, INF = float("nan"), float("inf")
TENSORS = {
    "half a pair, B is missing": ("plain", "layers.1.self_attn.q_proj", without(Q + B)),
    "half a pair, A is missing": ("plain", "layers.1.self_attn.v_proj", without(V + A)),
    "no B at all": ("plain", "lora_", lambda c, t: [t.pop(n) for n in list(t) if n.endswith(B)]),
    "A of another rank": ("plain", "q_proj", tensor(Q + A, lambda t: t[:3])),
    "B of another rank": ("plain", "q_proj", tensor(Q + B, lambda t: t[:, :3])),
    "a pair of another rank than the configuration's": ("plain", "q_proj", both(tensor(Q + A, lambda t: t[:3]), tensor(Q + B, lambda t: t[:, :3]))),
    "A with another width": ("plain", "q_proj", tensor(Q + A, lambda t: t[:, :31])),
    "B with another height": ("plain", "q_proj", tensor(Q + B, lambda t: t[:31])),
    "an adapter for a wider model": ("plain", "64 32", wider),
    "A and B exchanged": ("plain", "q_proj", both(tensor(Q + A, lambda t: t.T), tensor(Q + B, lambda t: t.T))),
    "a flat A, as a shard of DeepSpeed": ("plain", "q_proj", tensor(Q + A, lambda t: t.flatten())),
    "an empty A": ("plain", "q_proj", tensor(Q + A, torch.zeros(0))),
    "A with three dimensions": ("plain", "q_proj", tensor(Q + A, lambda t: t[None])),
    "A of whole numbers": ("plain", "q_proj", tensor(Q + A, lambda t: t.long())),
    "B of bytes": ("plain", "q_proj", tensor(Q + B, lambda t: t.to(torch.uint8))),
    "NaN in A": ("plain", "q_proj", tensor(Q + A, with_value(NAN))),
    "infinity in B": ("plain", "v_proj", tensor(V + B, with_value(INF))),
    "infinity in an A of f16": ("plain", "q_proj", tensor(Q + A, lambda t: with_value(-INF)(t.half()))),
    "NaN in the embedding's B": ("embedding", "embed_tokens", tensor(EMBEDDING + "lora_embedding_B", with_value(NAN))),
    "NaN in a saved module": ("saved", "embed_tokens", tensor(EMBEDDING + "weight", with_value(NAN))),
    "NaN in a trained token": ("tokens", "embed_tokens", tensor(TOKENS_DELTA, with_value(NAN))),
    "NaN in a magnitude": ("dora", "q_proj", tensor(MAGNITUDE, with_value(NAN))),
    "a sum beyond f32": ("plain", "q_proj", both(tensor(Q + A, lambda t: t * 1e30), tensor(Q + B, lambda t: t * 1e30))),
    "a module that the model does not have": ("plain", "x_proj", both(renamed("q_proj", "x_proj"), member(target_modules=["x_proj", "v_proj"]))),
    "a layer that the model does not have": ("plain", "layers.7", again("layers.1.", "layers.7.")),
    "a layer with a leading zero": ("plain", "layers.01", again("layers.1.", "layers.01.")),
    "tensors of a module that is not a target": ("plain", "v_proj", member(target_modules=["q_proj"])),
    "no tensors of a target": ("plain", "k_proj", member(target_modules=[*LINEAR, "k_proj"])),
    "no tensors of one layer of a target": ("plain", "layers.1.self_attn.q_proj", without(Q + A, Q + B)),
    "no tensors": ("plain", "", lambda c, t: t.clear()),
    "a tensor of no known kind": ("plain", "lora_C", tensor(Q + "lora_C.weight", torch.zeros(4))),
    "the same module with and without the prefix": ("plain", "q_proj", tensor(Q.removeprefix("base_model.model.") + A, torch.zeros(4, 32))),
    "the same module under two adapters' names": ("plain", "q_proj", tensor(Q + "lora_A.other.weight", torch.zeros(4, 32))),
    "a base's embedding of another shape": ("embedding", "embed_tokens", tensor(EMBEDDING + "base_layer.weight", lambda t: t[:90])),
    "the embedding as a linear module": ("embedding", "embed_tokens", renamed("lora_embedding_A", "lora_A.weight")),
    "an embedding of another vocabulary": ("embedding", "96 90", tensor(EMBEDDING + "lora_embedding_A", lambda t: t[:, :90])),
    "a whole weight that is not announced": ("plain", "norm", tensor(NORM, torch.ones(32))),
    "a saved module without its tensor": ("saved", "embed_tokens", without(EMBEDDING + "weight")),
    "a saved module of another shape": ("saved", "96 100", tensor(EMBEDDING + "weight", torch.zeros(100, 32))),
    "a saved module that the model does not have": ("saved", "classifier", member(modules_to_save=["embed_tokens", "classifier"])),
    "biases that are not announced": ("conv", "bias", member(bias="none")),
    "a bias of another length": ("conv", "bias", tensor("base_model.model.transformer.h.1.attn.c_attn.base_layer.bias", torch.zeros(95))),
    "a bias of LoRA that is not announced": ("bias", "bias", member(lora_bias=False)),
    "a bias of LoRA that is missing": ("bias", "q_proj", without(Q + "lora_B.bias")),
    "a bias of LoRA where the base has none": ("plain", "bias", both(member(lora_bias=True), lambda c, t: t.update(
        {n.replace(B, "lora_B.bias"): torch.zeros(len(t[n])) for n in list(t) if n.endswith(B)}))),
    "DoRA without magnitudes": ("plain", "magnitude", member(use_dora=True)),
    "DoRA without one magnitude": ("dora", "layers.1.self_attn.q_proj", without(MAGNITUDE)),
    "magnitudes without DoRA": ("dora", "magnitude", member(use_dora=False)),
    "magnitudes of another length": ("dora", "q_proj", tensor(MAGNITUDE, torch.ones(31))),
    "a trained token beyond the vocabulary": ("tokens", "96", member(trainable_token_indices=[7, 3, 96])),
    "a trained token below zero": ("tokens", "-1", member(trainable_token_indices=[7, 3, -1])),
    "a trained token twice": ("tokens", "7", member(trainable_token_indices=[7, 3, 7])),
    "fewer trained tokens than rows": ("tokens", "trainable_token", member(trainable_token_indices=[7, 3])),
    "more trained tokens than rows": ("tokens", "trainable_token", member(trainable_token_indices=[7, 3, 90, 5])),
    "trained tokens that are no whole numbers": ("tokens", "trainable_token", member(trainable_token_indices=[7, 3, 1.5])),
    "trained tokens that are not announced": ("tokens", "trainable_token", member(trainable_token_indices=None)),
    "trained tokens of a module that is not there": ("tokens", "trainable_token_indices", member(trainable_token_indices={"wte": [7, 3, 90]})),
    "experts of another number": ("experts", "experts", tensor(EXPERTS + A, lambda t: t[:15])),
    "experts that are not announced": ("experts", "experts", member(target_parameters=["experts.down_proj"])),
    "a parameter that the model does not have": ("experts", "experts", member(target_parameters=["experts.down_proj", "experts.up_gate_proj"])),
    "experts without the inner pair": ("experts", "experts", without(EXPERTS + "base_layer." + A, EXPERTS + "base_layer." + B)),
}
CONFIG = {
    **{f"r {value!r}": ("plain", "r", member(r=value)) for value in (0, -4, 3, 2**31, 2**62, 1e300, "4", 4.5, None, [4], True)},
    "r missing": ("plain", "r", without("r")), "alpha missing": ("plain", "lora_alpha", without("lora_alpha")),
    **{f"alpha {value!r}": ("plain", "alpha", member(lora_alpha=value)) for value in (None, "16", [], 1e39)},
    **{f"a rank pattern of {value!r}": ("plain", "rank_pattern", member(rank_pattern=value)) for value in (
        {"k_proj": 8}, {"q_proj": 0}, {"q_proj": "4"}, {"(": 4}, {"(a*)*b": 4}, ["q_proj"])},
    "a rank pattern that the tensors do not have": ("plain", "q_proj", member(rank_pattern={"q_proj": 8})),
    **{f"an alpha pattern of {value!r}": ("plain", "alpha_pattern", member(alpha_pattern=value)) for value in (
        {"k_proj": 8}, {"q_proj": None}, {"[": 4}, "q_proj")},
    **{f"target_modules {value!r}": ("plain", "target_modules", member(target_modules=value)) for value in (
        ["nothing"], "(", ".*nothing", [], 7, {"q_proj": 1})},
    "everything excluded": ("plain", "q_proj", member(exclude_modules=LINEAR)),
    **{f"layers_to_transform {value!r}": ("plain", "layers_to_transform" if value in ([0, 1, 2, 3], "0", [0.5]) else "layers",
                                          member(layers_to_transform=value)) for value in ([7], [0], [0, 1, 2, 3], -1, "0", [0.5])},
    "layers_pattern of another name": ("plain", "layers", member(layers_to_transform=[0, 1, 2], layers_pattern="blocks")),
    **{f"{key} without ensure_weight_tying": ("saved", f"{key} ensure_weight_tying", member(**{key: ["lm_head"]}))
       for key in ("modules_to_tie", "target_modules_to_tie")},
    "modules_to_tie of a projection": ("saved", "modules_to_tie q_proj", member(ensure_weight_tying=True, modules_to_tie=["q_proj"])),
    "bias 'some'": ("plain", "bias", member(bias="some")),
    **{f"init_lora_weights {value!r}": ("plain", value, member(init_lora_weights=value)) for value in (
        "pissa", "pissa_niter_4", "olora", "corda", "loftq", "lora_ga", "something")},
    **{name: ("plain", name, member(**{name: value})) for name, value in dict(
        use_qalora=True, use_bdlora={"target_modules_bd_a": ["q_proj"], "nblocks": 2}, kasa_config={"beta": 1e-4, "gamma": 1e-3},
        alora_invocation_tokens=[1, 2], arrow_config={"top_k": 3}, layer_replication=[[0, 2], [1, 3]], megatron_config={"a": 1},
        of_a_newer_peft=True).items()},
    **{f"peft_type {kind.value}": ("plain", kind.value, member(peft_type=kind.value)) for kind in PeftType if kind != PeftType.LORA},
    "peft_type of nobody": ("plain", "FOO", member(peft_type="FOO")), "no peft_type": ("plain", "peft_type", without("peft_type")),
}
FOLDER = {
    "no configuration": ("plain", "adapter_config.json", removed("adapter_config.json")),
    "no weights": ("plain", "adapter_model", removed("adapter_model.safetensors")),
    "a configuration that ends early": ("plain", "adapter_config.json", config_text('{"peft_type": "LORA", ')),
    "a configuration that is a list": ("plain", "adapter_config.json", config_text("[]")),
    "a configuration that is deep": ("plain", "adapter_config.json", config_text("[" * 200_000 + "]" * 200_000)),
    **{f"alpha {text}": ("plain", "", raw(text)) for text in ("NaN", "Infinity", "1e400", "9" * 400, "1" + ', "lora_alpha": 2')},
    "weights that end early": ("plain", "adapter_model.safetensors", weights(lambda data: data[:-7])),
    "weights with a header of a terabyte": ("plain", "adapter_model.safetensors", weights(lambda data: (2**40).to_bytes(8, "little") + data[8:])),
    "weights of another kind": ("plain", "adapter_model.safetensors", weights(lambda data: b"not a file of tensors")),
    "a pickle that runs something": ("plain", "adapter_model.bin", pickled),
    "a folder for the weights": ("plain", "adapter_model.safetensors", directory),
}
