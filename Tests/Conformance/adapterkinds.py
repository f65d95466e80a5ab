"""The kinds of adapters that PEFT saves: for each a model, a configuration, and what is done with the files afterwards."""

import dataclasses
import itertools
import json
import typing

import torch
from peft import LoraConfig
from safetensors.torch import load_file, save_file

ATTENTION, LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj"], "all-linear"
EXPERTS = ["experts.gate_up_proj", "experts.down_proj"]


@dataclasses.dataclass
class Kind:
    """An adapter. `rewrite` changes the saved folder to what other programs write; where `foreign`, PEFT itself does not read that,
    and the reference is made before it. Where `untied`, the output matrix of a model with tied embeddings becomes another one: PEFT
    adds to the matrix of both, so that the reference starts from an untied copy. Where `once`, both stay one matrix, to which PEFT
    adds twice. `tokens` is how many tokens the training added to the vocabulary, or took away.
    `rounds` says why single values may be the neighbours of PEFT's."""
    model: str
    config: dict
    options: dict = dataclasses.field(default_factory=dict)
    rewrite: typing.Callable = None
    foreign: bool = False
    untied: bool = False
    once: bool = False
    tokens: int = 0
    rounds: str = ""

    def lora(self):
        return LoraConfig(**dict(r=4, lora_alpha=6, init_lora_weights=False, task_type="CAUSAL_LM") | self.config)


def rewritten(change):
    """A rewrite of the tensors: `change` gives the new name and tensor of each, or nothing."""
    def rewrite(path):
        file = path / "adapter_model.safetensors"
        changed = (change(name, tensor) for name, tensor in load_file(file).items())
        save_file({name: tensor.contiguous() for name, tensor in filter(None, changed)}, file, metadata={"format": "pt"})
    return rewrite


def named(adapter):
    """Names as they are in the state of a running model, which some trainers save: with the name of the adapter."""
    def change(name, tensor):
        stem, _, last = name.rpartition(".")
        if "lora_embedding" in last or "lora_magnitude" in last:
            return f"{name}.{adapter}" + (".weight" if "magnitude" in last else ""), tensor
        return (f"{stem}.{adapter}.{last}" if "lora_" in stem else name), tensor
    return rewritten(change)


stripped = rewritten(lambda name, tensor: (name.removeprefix("base_model.model."), tensor))
halved = rewritten(lambda name, tensor: (name, tensor.to(torch.bfloat16)))
half_float = rewritten(lambda name, tensor: (name, tensor.half()))
without_copies = rewritten(lambda name, tensor: None if ".base_layer." in name else (name, tensor))


def configured(**members):
    """A rewrite of members of adapter_config.json."""
    def rewrite(path):
        file = path / "adapter_config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | members))
    return rewrite


def unsloth(path):
    """As unsloth writes it: a regular expression for the modules, its own member, and an empty list instead of none."""
    configured(target_modules=r"(?:.*?(?:language|text).*?(?:self_attn|mlp).*?(?:q_proj|v_proj|down_proj).*?)|"
               r"(?:\bmodel\.layers\.[\d]{1,}\.(?:self_attn|mlp)\.(?:(?:q_proj|v_proj|down_proj)))",
               base_model_name_or_path="unsloth/llama-3-8b-bnb-4bit", modules_to_save=None,
               auto_mapping={"base_model_class": "LlamaForCausalLM", "parent_library": "transformers", "unsloth_fixed": True})(path)
    (path / "tokenizer_config.json").write_text("{}")


def axolotl(path):
    """As axolotl writes it: the modules by their names, in an older configuration with fewer members."""
    members = json.loads((path / "adapter_config.json").read_text())
    kept = ("auto_mapping", "base_model_name_or_path", "bias", "fan_in_fan_out", "inference_mode", "init_lora_weights", "lora_alpha",
            "lora_dropout", "modules_to_save", "peft_type", "r", "revision", "target_modules", "task_type", "layers_pattern",
            "layers_to_transform")
    (path / "adapter_config.json").write_text(json.dumps({k: members[k] for k in kept} | {"lora_dropout": 0.05, "fan_in_fan_out": None}))


def each_expert(path):
    """As transformers 4 had mixtures: a pair for every expert, under the names that the experts have in the file."""
    torch.manual_seed(2)
    shapes = {"w1": (64, 32), "w2": (32, 64), "w3": (64, 32)}
    file = path / "adapter_model.safetensors"
    tensors = load_file(file)
    for layer, expert, name in itertools.product(range(3), range(4), shapes):
        module = f"base_model.model.model.layers.{layer}.block_sparse_moe.experts.{expert}.{name}"
        tensors |= {f"{module}.lora_A.weight": 0.2 * torch.randn(4, shapes[name][1]),
                    f"{module}.lora_B.weight": 0.2 * torch.randn(shapes[name][0], 4)}
    save_file(tensors, file, metadata={"format": "pt"})
    configured(target_modules=[*ATTENTION, *shapes])(path)


NORM = "torch adds up norms in another order"
KINDS = {
    "one module": Kind("llama", dict(target_modules=["q_proj"])),
    "all linear": Kind("llama", dict(target_modules=LINEAR, r=8, lora_alpha=16)),
    "all linear of a qwen3": Kind("qwen3", dict(target_modules=LINEAR)),
    "rank 1": Kind("llama", dict(target_modules=LINEAR, r=1, lora_alpha=1)),
    "rank 64, larger than the matrices": Kind("llama", dict(target_modules=LINEAR, r=64)),
    "alpha that is no whole number": Kind("llama", dict(target_modules=ATTENTION, lora_alpha=3.7)),
    "rsLoRA": Kind("llama", dict(target_modules=LINEAR, use_rslora=True)),
    "ranks and alphas by pattern": Kind("llama", dict(
        target_modules=LINEAR, rank_pattern={"q_proj": 8, r"layers\.[12]\.mlp\..*": 2, "model.layers.0.mlp.up_proj": 3},
        alpha_pattern={"q_proj": 5, "mlp.down_proj": 9})),
    "rsLoRA with patterns": Kind("llama", dict(
        target_modules=LINEAR, use_rslora=True, rank_pattern={"k_proj": 2}, alpha_pattern={"^model.layers.1.self_attn.q_proj": 20})),
    "patterns, the first one that matches counts": Kind("llama", dict(
        target_modules=ATTENTION, alpha_pattern={"0.self_attn.q_proj": 3, "q_proj": 7, r".*\.q_proj": 9})),
    "layers in a list": Kind("llama", dict(target_modules=ATTENTION, layers_to_transform=[0, 2])),
    "one layer": Kind("llama", dict(target_modules=ATTENTION, layers_to_transform=1, layers_pattern="layers")),
    "a regular expression": Kind("llama", dict(target_modules=r".*layers\.[02]\.(self_attn\.(q|v)_proj|mlp\.down_proj)")),
    "excluded modules": Kind("llama", dict(target_modules=LINEAR, exclude_modules=["down_proj", "model.layers.0.self_attn.q_proj"])),
    "modules excluded by a regular expression": Kind("llama", dict(target_modules=LINEAR, exclude_modules=r".*layers\.1\..*")),
    "embedding and output": Kind("llama", dict(target_modules=["q_proj", "embed_tokens", "lm_head"])),
    "embedding without its copy": Kind("llama", dict(target_modules=["embed_tokens"]), dict(save_embedding_layers=False)),
    "embedding of tied": Kind("llama, tied", dict(target_modules=["embed_tokens", "v_proj"]), untied=True),
    "output of tied": Kind("llama, tied", dict(target_modules=["lm_head", "v_proj"]), untied=True),
    "both of tied, each its own": Kind("llama, tied", dict(target_modules=["embed_tokens", "lm_head"]), untied=True),
    "both of tied, kept tied": Kind("llama, tied", dict(
        target_modules=["embed_tokens", "lm_head"], ensure_weight_tying=True), once=True),
    "output of tied, kept tied": Kind("llama, tied", dict(
        target_modules=["lm_head", "v_proj"], ensure_weight_tying=True), once=True),
    "a pattern with the output of tied, kept tied": Kind("llama, tied", dict(
        target_modules=r".*(lm_head|q_proj)", ensure_weight_tying=True), once=True),
    "a pattern of the embedding's whole name, which PEFT does not tie": Kind("llama, tied", dict(
        target_modules=r"model\.embed_tokens|.*q_proj", ensure_weight_tying=True), untied=True),
    "target_modules_to_tie": Kind("llama, tied", dict(
        target_modules=["embed_tokens", "q_proj"], ensure_weight_tying=True), once=True,
        rewrite=configured(target_modules_to_tie=["lm_head"])),
    "DoRA": Kind("llama", dict(target_modules=LINEAR, use_dora=True), rounds=NORM),
    "DoRA of the embedding": Kind("llama", dict(target_modules=["embed_tokens", "q_proj"], use_dora=True), rounds=NORM),
    "DoRA of Conv1D": Kind("gpt2", dict(target_modules=["c_attn", "c_fc"], fan_in_fan_out=True, use_dora=True), rounds=NORM),
    "DoRA with rsLoRA and patterns": Kind("qwen3", dict(
        target_modules=LINEAR, use_dora=True, use_rslora=True, rank_pattern={"q_proj": 2}), rounds=NORM),
    "Conv1D": Kind("gpt2", dict(target_modules=["c_attn", "c_proj", "c_fc"], fan_in_fan_out=True)),
    "Conv1D, fan_in_fan_out not said": Kind("gpt2", dict(target_modules=LINEAR), rewrite=configured(fan_in_fan_out=False)),
    "embeddings of gpt2": Kind("gpt2", dict(target_modules=["wte", "wpe"]), untied=True),
    "bias all": Kind("gpt2", dict(target_modules=["c_attn"], fan_in_fan_out=True, bias="all")),
    "bias lora_only": Kind("qwen2", dict(target_modules=["q_proj", "v_proj", "o_proj"], bias="lora_only")),
    "a bias of LoRA": Kind("gpt2", dict(target_modules=["c_attn", "c_proj"], fan_in_fan_out=True, lora_bias=True)),
    "a bias of LoRA, linear": Kind("qwen2", dict(target_modules=["q_proj", "k_proj"], lora_bias=True, use_rslora=True)),
    "saved embedding and output": Kind("llama", dict(target_modules=["q_proj"], modules_to_save=["embed_tokens", "lm_head"])),
    "saved norms": Kind("llama", dict(target_modules=["q_proj"], modules_to_save=["norm", "input_layernorm"])),
    "a saved module that LoRA is asked for too": Kind("llama", dict(target_modules=ATTENTION, modules_to_save=["q_proj"])),
    "saved output of tied": Kind("llama, tied", dict(target_modules=["q_proj"], modules_to_save=["lm_head"]), untied=True),
    "saved embedding of tied": Kind("llama, tied", dict(target_modules=["q_proj"], modules_to_save=["embed_tokens"]), untied=True),
    "saved embedding, kept tied": Kind("qwen3", dict(
        target_modules=["q_proj"], modules_to_save=["embed_tokens"], ensure_weight_tying=True)),
    "saved output, kept tied": Kind("llama, tied", dict(
        target_modules=["q_proj"], modules_to_save=["lm_head"], ensure_weight_tying=True)),
    "saved embedding and output, kept tied": Kind("gemma3", dict(
        target_modules=["q_proj"], modules_to_save=["embed_tokens", "lm_head"], ensure_weight_tying=True)),
    "modules_to_tie": Kind("qwen3", dict(
        target_modules=["q_proj"], modules_to_save=["embed_tokens"], ensure_weight_tying=True),
        rewrite=configured(modules_to_tie=["lm_head"], target_modules_to_tie=None)),
    "saved embedding, asked to be kept tied to an output of its own": Kind("llama", dict(
        target_modules=["q_proj"], modules_to_save=["embed_tokens"], ensure_weight_tying=True)),
    "saved embedding of gpt2, which PEFT does not tie": Kind("gpt2", dict(
        target_modules=["c_attn"], fan_in_fan_out=True, modules_to_save=["wte"], ensure_weight_tying=True), untied=True),
    "trained tokens, kept tied": Kind("qwen3", dict(
        target_modules=["q_proj"], trainable_token_indices=[7, 3, 90], ensure_weight_tying=True)),
    "trained tokens": Kind("llama", dict(target_modules=["q_proj"], trainable_token_indices=[7, 3, 90])),
    "trained tokens of tied": Kind("qwen3", dict(target_modules=["q_proj"], trainable_token_indices=[7, 3, 90])),
    "trained tokens by module": Kind("llama", dict(
        target_modules=["q_proj"], trainable_token_indices={"embed_tokens": [5, 0], "lm_head": [9]})),
    "trained tokens by module, of tied": Kind("llama, tied", dict(
        target_modules=["q_proj"], trainable_token_indices={"embed_tokens": [5, 0], "lm_head": [9]}), untied=True),
    "trained tokens of Gemma": Kind("gemma3", dict(target_modules=LINEAR, trainable_token_indices=[1, 2])),
    "experts": Kind("mixtral", dict(target_modules=ATTENTION, target_parameters=EXPERTS)),
    "experts, only down": Kind("mixtral", dict(target_modules=[], target_parameters=["mlp.experts.down_proj"])),
    "experts, only gate and up": Kind("mixtral", dict(target_modules=["q_proj"], target_parameters=["experts.gate_up_proj"])),
    "the router": Kind("mixtral", dict(target_modules=["q_proj"], target_parameters=["gate.weight"])),
    "experts with a pattern": Kind("mixtral", dict(
        target_modules=[], target_parameters=EXPERTS, rank_pattern={"experts.down_proj": 2}, alpha_pattern={"gate_up_proj": 11})),
    "experts, all linear": Kind("mixtral", dict(target_modules=LINEAR)),
    "experts by their own names": Kind("mixtral", dict(target_modules=ATTENTION), rewrite=each_expert),
    "experts in layers that have them": Kind("qwen3 moe", dict(target_modules=ATTENTION, target_parameters=EXPERTS)),
    "experts stored transposed": Kind("gpt-oss", dict(target_modules=ATTENTION, target_parameters=EXPERTS)),
    "experts stored transposed, of square matrices": Kind("gpt-oss, square", dict(
        target_modules=ATTENTION, target_parameters=EXPERTS)),
    "only square experts stored transposed": Kind("gpt-oss, square", dict(target_modules=[], target_parameters=EXPERTS[1:])),
    "experts of Llama 4": Kind("llama4", dict(target_modules=ATTENTION, target_parameters=EXPERTS)),
    "square experts of Llama 4": Kind("llama4, square", dict(target_modules=ATTENTION, target_parameters=EXPERTS)),
    "only square experts of Llama 4": Kind("llama4, square", dict(target_modules=[], target_parameters=EXPERTS[1:])),
    "Gemma": Kind("gemma3", dict(target_modules=LINEAR)),
    "Gemma's embedding": Kind("gemma3", dict(target_modules=["embed_tokens"]), untied=True),
    "initialized as Gaussian, then trained": Kind("llama", dict(target_modules=LINEAR), rewrite=configured(init_lora_weights="gaussian")),
    "initialized as EVA, then trained": Kind("llama", dict(target_modules=LINEAR), rewrite=configured(init_lora_weights="eva")),
    "a pickle": Kind("llama", dict(target_modules=LINEAR), dict(safe_serialization=False)),
    "an adapter of another name": Kind("llama", dict(target_modules=LINEAR), dict(peft=dict(adapter_name="other"))),
    "names with the adapter's": Kind("llama", dict(target_modules=["q_proj", "embed_tokens"], use_dora=True), rewrite=named("default"),
                                     foreign=True, rounds=NORM),
    "names with an adapter's": Kind("llama", dict(target_modules=LINEAR), rewrite=named("my-adapter"), foreign=True),
    "names without the prefix": Kind("llama", dict(target_modules=["q_proj", "embed_tokens"]), rewrite=stripped, foreign=True),
    "more tokens, not trained": Kind("llama", dict(target_modules=["q_proj"]), tokens=2),
    "more tokens, not trained, of tied": Kind("llama, tied", dict(target_modules=["q_proj"]), tokens=2),
    "more tokens of Gemma": Kind("gemma3", dict(target_modules=["q_proj"]), tokens=64),
    "more tokens of gpt2": Kind("gpt2", dict(target_modules=["c_attn"], fan_in_fan_out=True), tokens=2),
    "fewer tokens": Kind("qwen3", dict(target_modules=LINEAR), tokens=-5),
    "more tokens, saved": Kind("llama", dict(target_modules=["q_proj"], modules_to_save=["embed_tokens", "lm_head"]), tokens=2),
    "more tokens, saved, of tied": Kind("llama, tied", dict(target_modules=["q_proj"], modules_to_save=["embed_tokens", "lm_head"]),
                                        tokens=2),
    "more tokens, only the embedding saved": Kind("llama", dict(target_modules=["q_proj"], modules_to_save=["embed_tokens"]), tokens=2),
    "more tokens, only the embedding saved, of tied": Kind("llama, tied", dict(
        target_modules=["q_proj"], modules_to_save=["embed_tokens"]), tokens=2),
    "more tokens, only the output saved, of tied": Kind("llama, tied", dict(
        target_modules=["q_proj"], modules_to_save=["lm_head"]), tokens=2),
    "more tokens, saved, kept tied": Kind("qwen3", dict(
        target_modules=["q_proj"], modules_to_save=["embed_tokens"], ensure_weight_tying=True), tokens=2),
    "more tokens, embedding and output adapted": Kind("llama", dict(target_modules=["embed_tokens", "lm_head"]), tokens=2),
    "more tokens, embedding of tied adapted": Kind("llama, tied", dict(target_modules=["embed_tokens"]), tokens=2, untied=True),
    "more tokens, both of tied adapted": Kind("llama, tied", dict(target_modules=["embed_tokens", "lm_head"]), tokens=2, untied=True),
    "more tokens, of which rows were trained": Kind("llama", dict(
        target_modules=["q_proj"], trainable_token_indices=[96, 7, 97]), tokens=2),
    "more tokens, of which rows were trained, of tied": Kind("qwen3", dict(
        target_modules=["q_proj"], trainable_token_indices=[96, 7, 97]), tokens=2),
    "embeddings saved that did not change, of tied": Kind("llama, tied", dict(target_modules=["q_proj"]),
                                                          dict(save_embedding_layers=True)),
    "in bf16": Kind("llama", dict(target_modules=LINEAR), rewrite=halved),
    "in f16": Kind("llama", dict(target_modules=["q_proj", "embed_tokens"]), rewrite=half_float),
    "from unsloth": Kind("llama", dict(target_modules=["q_proj", "v_proj", "down_proj"]), rewrite=unsloth),
    "from axolotl": Kind("llama", dict(target_modules=LINEAR), rewrite=axolotl),
}

# What adapters do, on every family: the names of its matrices, and what is peculiar to it.
FAMILIES = {
    "llama": dict(attention=ATTENTION, mlp=["gate_proj", "down_proj"], embedding="embed_tokens", norm="input_layernorm"),
    "qwen3": dict(attention=ATTENTION, mlp=["gate_proj", "down_proj"], embedding="embed_tokens", norm="q_norm"),
    "mixtral": dict(attention=ATTENTION, mlp=[], embedding="embed_tokens", norm="post_attention_layernorm"),
    "gemma3": dict(attention=ATTENTION, mlp=["up_proj", "down_proj"], embedding="embed_tokens", norm="pre_feedforward_layernorm"),
    "gpt2": dict(attention=["c_attn"], mlp=["c_fc", "mlp.c_proj"], embedding="wte", norm="ln_1"),
}
TIED = {"qwen3", "gemma3", "gpt2"}


def everywhere():
    """The configurations of all kinds for every family; those of experts are in `KINDS`."""
    for family, names in FAMILIES.items():
        both, layers = [*names["attention"], *names["mlp"]], "h" if family == "gpt2" else "layers"
        common = dict(fan_in_fan_out=True) if family == "gpt2" else {}
        first = names["attention"][0]
        experts = dict(target_parameters=EXPERTS) if family == "mixtral" else {}
        for label, config, more in (
            ("rsLoRA, patterns and layers", dict(
                target_modules=both, use_rslora=True, rank_pattern={f"{layers}.2.{'attn' if family == 'gpt2' else 'self_attn'}.{first}": 2},
                alpha_pattern={rf"{layers}\.[02]\..*{first}": 11, names["attention"][-1]: 5}, layers_to_transform=[0, 2],
                layers_pattern=layers), {}),
            ("DoRA", dict(target_modules=both, use_dora=True, exclude_modules=rf".*\.{layers}\.1\..*"), dict(rounds=NORM)),
            ("everything at once", dict(
                target_modules=both, modules_to_save=[names["norm"]], bias="all", use_rslora=True, **experts), {}),
            ("the embedding and rows of it", dict(target_modules=[first], trainable_token_indices={names["embedding"]: [5, 0]}), {}),
            ("an adapted embedding", dict(target_modules=[names["embedding"], first]), dict(untied=family in TIED)),
            ("a saved embedding", dict(target_modules=[first], modules_to_save=[names["embedding"]]), dict(untied=family in TIED)),
            ("biases of what is adapted", dict(target_modules=both, bias="lora_only"), {}),
        ):
            yield f"{label}, of {family}", Kind(family, common | config, **more)


KINDS |= dict(everywhere())
