"""Every described family: states and logits of transformers, files of llama.cpp's converter, logits of llama.cpp, and back.

Each model is small, has random weights and every feature of a variant in `familytable`. $FAMILIES limits the part to labels that
contain one of its words. Limits are shares: of a state's norm, or of the logits' standard deviation."""

import contextlib
import json
import os
import pathlib
import subprocess
import warnings

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerFast
from transformers.utils import logging

import classes
import familytable
import familytable2
import skipping
import smallmodels
import tensorfiles
from familytable import FAMILIES, LAYERS, SIZES, TOKENS, VOCABULARY
from ggufclasses import Worker
from tools import RESECT, Failed, folder, resect, resect_json

LIMIT, PEER, EFFECT = 1e-4, 1e-3, 1e-2
# What its table of GELU in f16 costs llama.cpp at most.
TABLE = 2e-2
CUT = range(2, 4)
TYPES = ("f32", "f16", "bf16")
# What a folder says of its writer.
EXEMPT = ("transformers_version", "_name_or_path", "dtype", "torch_dtype", "architectures", "use_cache", "initializer_range",
          "bos_token_id", "eos_token_id", "pad_token_id", "output_router_logits", "router_aux_loss_coef")


def check(checks):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    words = os.environ.get("FAMILIES", "").split()
    workers = Worker("convertworker.py"), Worker("logitsworker.py"), States()
    try:
        for family, (name, variants) in (FAMILIES | familytable2.FAMILIES).items():
            for variant, options in variants.items():
                label = f"{family}, {variant}"
                if words and not any(word in label for word in words):
                    continue
                with checks.section(label), warnings.catch_warnings(), folder() as work:
                    warnings.simplefilter("ignore")
                    try:
                        Model(checks, label, name, options, pathlib.Path(work), *workers).check()
                    except classes.Wrong as error:
                        checks.check(label, False, str(error))
    finally:
        torch.set_num_threads(threads)
        for worker in workers:
            worker.end()


class States:
    """The program that gives the states and logits of resect."""

    def __init__(self):
        path = pathlib.Path(RESECT).with_name("states")
        if not path.exists():
            raise Failed(f"{path} is not there; build it: RESECT_STATES=1 swift build -c release --product states")
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, path, work, ids, cut=None):
        """States [layers + 1, tokens, hidden] and logits [tokens, vocabulary]."""
        output = work / "states.bin"
        span = f"{cut.start}:{cut.stop}" if cut else "-"
        self.process.stdin.write(f"{path}\t{output}\t{span}\t{' '.join(map(str, ids.tolist()))}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        if answer[:1] != ["ok"]:
            raise classes.Wrong(f"states: {' '.join(answer) or 'the program ended'}")
        layers, tokens, hidden, vocabulary = map(int, answer[1:])
        values = torch.from_numpy(np.fromfile(output, dtype=np.float32))
        count = (layers + 1) * tokens * hidden
        return values[:count].view(layers + 1, tokens, hidden), values[count:].view(tokens, vocabulary)

    def end(self):
        self.process.stdin.close()
        self.process.wait()


class Model:
    """A variant of a family in a folder of its own."""

    def __init__(self, checks, label, name, options, work, converter, runner, states):
        self.checks, self.label, self.options, self.work = checks, label, options, work
        self.converter, self.runner, self.states = converter, runner, states
        self.kind = getattr(transformers, name)
        self.source = work / "Tiny-Model-7B-v1.5"
        # The same model with a tensor for each expert, which is what the converter and a way back from GGUF write and read.
        self.apart = work / "apart" / self.source.name if options.get("fused") else self.source
        self.ids = torch.randint(4, VOCABULARY - 8, (TOKENS,), generator=torch.Generator().manual_seed(5))

    def check(self):
        self.make()
        model = classes.loaded(self.kind, self.source)
        if disguise := self.options.get("disguise"):
            disguise(self.source)
        layers = skipping.stacks(model, smallmodels.depth(model))
        if len(layers) != 1:
            raise classes.Wrong("its layers were not found")
        skipping.observe(model, layers, self.ids[None])
        whole = reference(model, layers[0], self.ids)
        with skipping.skipping(layers, CUT):
            cut = reference(model, layers[0], self.ids, CUT)
        self.below("the cut layers matter, inverse", EFFECT / max(apart(whole[1], cut[1]), 1e-9), 1)
        self.folders(whole, cut)
        if self.options.get("greedy"):
            self.greedy()
        gguf = self.work / "ours-f32.gguf"
        if key := self.options.get("refused"):
            self.refused(["convert", self.source, "-o", gguf, "--dtype", "f32"], gguf, key)
            return
        resect("convert", self.source, "-o", gguf, "--dtype", "f32")
        self.file(gguf, whole, cut)
        self.against_converter()
        self.back(gguf, whole)
        self.peer(gguf, whole[1], cut[1])

    def make(self):
        """The model, its tokenizer, its generation settings and its card."""
        defaults = self.kind.config_class().to_dict()
        text = defaults.get("text_config")
        sizes = {key: value for key, value in SIZES.items() if key in defaults}
        if isinstance(text, dict):
            sizes["text_config"] = {key: value for key, value in SIZES.items() if key in text}
        model = smallmodels.build(self.kind, smallmodels.merged(sizes, self.options.get("members", {})),
                                  seed=self.options.get("seed", 0))
        if self.options.get("rounded"):
            with torch.no_grad():
                for weight in model.parameters():
                    if weight.dim() < 2:
                        weight.copy_(weight.bfloat16())
        for folder in {self.source, self.apart}:
            model.save_pretrained(folder, save_original_format=folder is self.apart)
            self.complete(folder)

    def complete(self, folder):
        """What lies beside the weights."""
        path = folder / "config.json"
        config = json.loads(path.read_text(encoding="utf-8"))
        if self.options.get("old"):
            config = old(config)
        for key, value in self.options.get("patch", {}).items():
            if value is None:
                config.pop(key, None)
            else:
                config[key] = value
        path.write_text(json.dumps(config, indent=2), encoding="utf-8")
        tokenizer().save_pretrained(folder)
        (folder / "README.md").write_text(familytable.CARD, encoding="utf-8")

    def below(self, name, value, limit):
        self.checks.below(f"{self.label}: {name}", value, limit)

    def compare(self, name, found, expected, tokens=TOKENS):
        """States and logits of the first tokens."""
        (states, logits), (right, answer) = found, expected
        if states.shape != right.shape:
            self.checks.check(f"{self.label}: {name}", False, f"states {list(states.shape)}, expected {list(right.shape)}")
            return
        states, right = states[:, :tokens], right[:, :tokens]
        error = ((states - right).norm(dim=-1) / right.norm(dim=-1)).amax(dim=1)
        worst = int(error.argmax())
        self.checks.check(f"{self.label}: states {name}", error.max().item() < LIMIT,
                          f"{error.max().item():.2g} before layer {worst} (below {LIMIT:g})")
        # The logits are those of one token after the other, and the first ones do not know how long the text becomes.
        first = self.options.get("first", 0)
        if first < tokens:
            self.below(f"logits {name}", apart(logits[first:tokens, :answer.shape[-1]], answer[first:tokens]), LIMIT)

    def folders(self, whole, cut):
        """The HF folder: whole, cut in memory, cut and written, and read again by transformers."""
        with self.part("of the folder"):
            self.compare("of the folder", self.states(self.source, self.work, self.ids), whole)
            self.compare("of the folder, cut", self.states(self.source, self.work, self.ids, CUT), cut)
            output = self.work / "cut"
            resect("cut", self.source, "-o", output, "--layers", f"{CUT.start}:{CUT.stop}")
            self.compare("of the cut folder", self.states(output, self.work, self.ids), cut)
            if "disguise" in self.options:
                return
            found = skipping.logits(classes.loaded(self.kind, output), self.ids[None])[0]
            self.below("logits of transformers on the cut folder", apart(found, cut[1]), LIMIT)

    def greedy(self):
        """The most likely tokens, where rotary angles change while a text grows."""
        with self.part("greedy tokens"):
            text, count = "abcdefgh", 32
            ids = torch.tensor([AutoTokenizer.from_pretrained(self.source)(text).input_ids])
            model = classes.loaded(self.kind, self.source)
            added = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=count, do_sample=False, use_cache=True,
                                   pad_token_id=0)[0, ids.shape[1]:].tolist()
            found = resect_json("generate", self.source, "--prompt", text, "--tokens", count)["tokens"]
            if added[-1] == 0:
                added.pop()
            self.checks.equal(f"{self.label}: greedy tokens", [] if found == added else [f"{found}, expected {added}"])

    def file(self, gguf, whole, cut):
        """The GGUF file that resect made."""
        with self.part("of the GGUF file"):
            known = self.options.get("unknown", TOKENS)
            self.compare("of the GGUF file", self.states(gguf, self.work, self.ids), whole, known)
            if not self.options.get("cut"):
                self.compare("of the GGUF file, cut", self.states(gguf, self.work, self.ids, CUT), cut, known)

    def against_converter(self):
        """Tensors and metadata of llama.cpp's converter."""
        if reason := self.options.get("converter"):
            self.checks.note(f"{self.label}: not compared with the converter: {reason}")
            return
        for kind in TYPES:
            ours, theirs = (self.work / f"{who}-{kind}.gguf" for who in ("ours", "theirs"))
            with self.part(f"as {kind}"):
                if not ours.exists():
                    resect("convert", self.source, "-o", ours, "--dtype", kind)
                if reason := self.converter(self.apart, theirs, kind):
                    raise classes.Wrong(f"the converter: {reason}")
                self.checks.equal(f"{self.label}: tensors as {kind} are the converter's", tensorfiles.tensor_differences(
                    tensorfiles.gguf_tensors(ours), tensorfiles.gguf_tensors(theirs)))
                self.checks.equal(f"{self.label}: metadata as {kind} is the converter's", tensorfiles.value_differences(
                    tensorfiles.gguf_metadata(ours), tensorfiles.gguf_metadata(theirs),
                    (*self.options.get("metadata", ()), *familytable2.TOKENS)))

    def back(self, gguf, whole):
        """The GGUF file as a folder again, in both forms of the configuration."""
        with self.part("back"):
            output = self.work / "back"
            resect("convert", gguf, "-o", output)
            kind = getattr(transformers, self.options["text"]) if "text" in self.options else self.kind
            if kind is self.kind:
                self.checks.equal(f"{self.label}: tensors come back", tensorfiles.tensor_differences(
                    tensorfiles.safetensors_tensors(output), tensorfiles.safetensors_tensors(self.apart)))
            if "disguise" in self.options:
                return
            config = lambda path: AutoConfig.from_pretrained(str(path)).to_dict()
            if kind is self.kind:
                self.checks.equal(f"{self.label}: the configuration comes back", tensorfiles.value_differences(
                    config(output), config(self.source), (*EXEMPT, *self.options.get("config", ()))))
            known = self.options.get("unknown", TOKENS)
            for name, extra in (("back", []), ("back in the older form", ["--config-version", "4"])):
                if extra:
                    output = self.work / "older"
                    resect("convert", gguf, "-o", output, *extra)
                found = skipping.logits(classes.loaded(kind, output), self.ids[None])[0]
                self.below(f"logits {name}", apart(found[:known], whole[1][:known]), 1e-5)

    def refused(self, command, output, word):
        """A command that has to end with status 2 and a line that names something, and write nothing."""
        done = subprocess.run([RESECT, *command, "--quiet"], capture_output=True, text=True)
        said = (done.stderr.strip().splitlines() or [""])[0]
        self.checks.check(f"{self.label}: {command[0]} is refused", done.returncode == 2 and word in said and not output.exists(),
                          f"{done.returncode}: {said}")

    def peer(self, gguf, whole, cut):
        """llama.cpp's logits, whole and cut."""
        limit = self.options.get("peer", PEER)
        if limit == familytable.NO_WINDOW:
            self.without_window(gguf, whole)
            return
        if isinstance(limit, str):
            self.checks.note(f"{self.label}: not compared with llama.cpp: {limit}")
            return
        with self.part("in llama.cpp"):
            self.below("logits of llama.cpp", apart(self.logits(gguf, whole), whole), limit)
            output, span = self.work / "cut.gguf", f"{CUT.start}:{CUT.stop}"
            if self.options.get("cut"):
                self.refused(["cut", gguf, "-o", output, "--layers", span], output, "")
                return
            resect("cut", gguf, "-o", output, "--layers", span)
            self.below("logits of llama.cpp, cut", apart(self.logits(output, cut), cut), limit)

    def without_window(self, gguf, whole):
        """llama.cpp leaves a window out: its logits are right up to it and not behind it, which resect says when it converts."""
        with self.part("in llama.cpp, which knows no window"):
            found, window = self.logits(gguf, whole), familytable.WINDOW["sliding_window"]
            self.below("logits of llama.cpp in the window", apart(found[:window], whole[:window]), TABLE)
            behind = apart(found[window:], whole[window:])
            self.checks.check(f"{self.label}: logits of llama.cpp behind the window", behind > TABLE,
                              f"{behind:.3g} (above {TABLE:g})")
            done = subprocess.run([RESECT, "convert", self.source, "-o", self.work / "noted.gguf", "--dtype", "f32", "--no-sync"],
                                  capture_output=True, text=True)
            said = [line for line in done.stderr.splitlines() if "sliding window" in line]
            self.checks.check(f"{self.label}: a note says that the window is lost",
                              done.returncode == 0 and len(said) == 1 and str(window) in said[0], said)

    def logits(self, path, expected):
        output = path.with_suffix(".logits")
        if reason := self.runner(path, output, " ".join(map(str, self.ids.tolist()))):
            raise classes.Wrong(f"llama.cpp does not run it: {reason}")
        return torch.from_numpy(np.fromfile(output, dtype=np.float32).reshape(TOKENS, -1))[:, :expected.shape[-1]]

    @contextlib.contextmanager
    def part(self, name):
        """What goes wrong inside is one failed check; the other parts go on."""
        try:
            yield
        except (classes.Wrong, Failed) as error:
            self.checks.check(f"{self.label}: {name}", False, str(error))
        except Exception as error:  # the peer's, of any type
            self.checks.check(f"{self.label}: {name}", False, classes.brief(error))


def apart(found, expected):
    return classes.apart(found, expected)


@torch.no_grad()
def reference(model, layers, ids, skipped=range(0)):
    """The streams of transformers before each layer and behind the last, and the logits."""
    found, hooks = [], []
    first = lambda value: value[0] if isinstance(value, (tuple, list)) else value
    kept = [layer for number, layer in enumerate(layers) if number not in skipped]
    for layer in kept:
        hooks.append(layer.module.register_forward_pre_hook(
            lambda _, inputs, named: found.append((inputs[0] if inputs else named["hidden_states"])[0]), with_kwargs=True))
    hooks.append(kept[-1].module.register_forward_hook(lambda _, __, output: found.append(first(output)[0])))
    try:
        logits = skipping.logits(model, ids[None])[0]
    finally:
        for hook in hooks:
            hook.remove()
    return torch.stack([state.clone() for state in found]), logits


def old(config):
    """config.json as transformers 4 wrote it: the base of rotary embeddings beside their scaling, `torch_dtype`."""
    config = dict(config)
    for key, value in config.items():
        if isinstance(value, dict) and "model_type" in value:
            config[key] = old(value)
    if rope := config.pop("rope_parameters", None):
        if "sliding_attention" in rope:
            config["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        rope = dict(rope.get("full_attention", rope))
        config["rope_theta"] = rope.pop("rope_theta")
        if (share := rope.pop("partial_rotary_factor", None)) is not None:
            config["partial_rotary_factor"] = share
        config["rope_scaling"] = None if rope.get("rope_type") == "default" else rope
    if (kind := config.pop("dtype", None)) is not None:
        config["torch_dtype"] = kind
    config.pop("layer_types", None)
    return config


def tokenizer():
    """Single bytes, some pairs and three special tokens: a tokenizer of GPT-2's kind as large as the models' vocabulary."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<|endoftext|>", "<|start|>", "<|end|>"]
    pairs = [(a, b) for a in "abcdefgh" for b in "abcdefgh"][:VOCABULARY - len(alphabet) - len(special)]
    tokens = [special[0], *alphabet, *("".join(pair) for pair in pairs)]
    model = models.BPE({token: number for number, token in enumerate(tokens)}, pairs)
    result = Tokenizer(model)
    result.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    result.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=result, bos_token=special[0], eos_token=special[0],
                                   additional_special_tokens=special[1:])
