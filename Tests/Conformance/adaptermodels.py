"""The small models that adapters are made for: bases in bf16 on the disk, and what PEFT makes of a base and an adapter."""

import contextlib
import copy
import os
import pathlib
import warnings

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # PEFT asks the hub for the configuration of every base otherwise

import torch  # noqa: E402
import transformers  # noqa: E402
from peft import PeftModel, get_peft_model  # noqa: E402
from transformers.utils import logging  # noqa: E402

import smallmodels  # noqa: E402
from tools import folder  # noqa: E402

# The class of each model and members of its configuration.
MODELS = {
    "llama": ("LlamaForCausalLM", dict(tie_word_embeddings=False)),
    "llama, tied": ("LlamaForCausalLM", dict(tie_word_embeddings=True)),
    "qwen2": ("Qwen2ForCausalLM", dict(tie_word_embeddings=True)),
    "qwen3": ("Qwen3ForCausalLM", dict(tie_word_embeddings=True)),
    "mixtral": ("MixtralForCausalLM", dict(num_local_experts=4, num_experts_per_tok=2)),
    "qwen3 moe": ("Qwen3MoeForCausalLM", dict(num_experts=4, decoder_sparse_step=2)),
    "qwen2 moe": ("Qwen2MoeForCausalLM", dict(num_experts=4)),
    "olmoe": ("OlmoeForCausalLM", dict(num_experts=4)),
    "gpt-oss": ("GptOssForCausalLM", dict(num_local_experts=4)),
    "gpt-oss, square": ("GptOssForCausalLM", dict(num_local_experts=4, intermediate_size=32)),
    # Stored [experts, inputs, outputs] as GPT-OSS, and the other way round for PEFT.
    "llama4": ("Llama4ForCausalLM", dict(num_local_experts=4, interleave_moe_layer_step=1, num_experts_per_tok=1)),
    "llama4, square": ("Llama4ForCausalLM", dict(
        num_local_experts=4, interleave_moe_layer_step=1, num_experts_per_tok=1, intermediate_size=32)),
    "gemma3": ("Gemma3ForCausalLM", dict(tie_word_embeddings=True)),
    "gpt2": ("GPT2LMHeadModel", dict(n_layer=3)),
}
LAYERS = 3
TOKENS = torch.randint(2, 90, (2, 16), generator=torch.Generator().manual_seed(3))


def quiet():
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    warnings.simplefilter("ignore")


@contextlib.contextmanager
def workplace():
    """A temporary folder and the bases in it, with one thread for torch: its sums depend on the number."""
    quiet()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with folder() as work:
            work = pathlib.Path(work)
            yield work, Bases(work)
    finally:
        torch.set_num_threads(threads)


class Bases:
    """The folders of the models, each made when it is first asked for."""

    def __init__(self, work):
        self.work = work

    def path(self, name):
        path = self.work / "bases" / name.replace(", ", "-").replace(" ", "-")
        if not path.exists():
            kind, members = MODELS[name]
            layers = {} if "n_layer" in members else {"num_hidden_layers": LAYERS}
            smallmodels.build(getattr(transformers, kind), layers | members).to(torch.bfloat16).save_pretrained(path)
        return path

    def load(self, name):
        return load(self.path(name))


def load(path, dtype=torch.float32, **options):
    return transformers.AutoModelForCausalLM.from_pretrained(path, dtype=dtype, **options)


def untied(model):
    """The same model with an output matrix of its own."""
    model.config.tie_word_embeddings = False
    head = model.get_output_embeddings()
    head.weight = torch.nn.Parameter(model.get_input_embeddings().weight.detach().clone())
    return model


def resized(model, tokens, seed=5):
    """The same model with more or fewer tokens; the rows of new ones are random."""
    if tokens:
        torch.manual_seed(seed)
        model.resize_token_embeddings(model.config.get_text_config().vocab_size + tokens)
    return model


def adapter(base, config, path, seed=1, **options):
    """Adapts a model, sets everything that training would change to random values, and saves what PEFT saves."""
    torch.manual_seed(seed)
    model = get_peft_model(base, config, **options.pop("peft", {}))
    trained = {id(p) for p in model.parameters() if p.requires_grad}
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if id(weight) not in trained:
                continue
            if "lora_magnitude_vector" in name:
                weight.mul_(0.8 + 0.4 * torch.rand_like(weight))
            elif "lora_" in name:
                weight.normal_(0, 0.2)
            else:
                weight.add_(0.2 * torch.randn_like(weight))
    model.save_pretrained(path, **options)
    return path


@torch.no_grad()
def logits(model):
    return model.eval()(TOKENS, use_cache=False).logits


def applied(base, path):
    """The logits of base plus adapter, and the merged model, all in f32."""
    model = PeftModel.from_pretrained(base, path)
    return logits(model), model.merge_and_unload()


def tensors(model, path, dtype):
    """The tensors of a model under the names and in the forms that transformers saves, rounded to a type."""
    from safetensors.torch import load_file
    copy.deepcopy(model).float().save_pretrained(path)
    return {name: tensor.to(dtype) for file in sorted(path.glob("*.safetensors"))
            for name, tensor in load_file(file).items()}
