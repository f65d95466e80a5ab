"""Models of a few kilobytes, written by hand: what hostile.py puts its lies into."""

import importlib.util
import json
import shutil

from tools import ROOT

_spec = importlib.util.spec_from_file_location("corpora", ROOT / "Tests" / "Fuzzing" / "make-corpora.py")
corpora = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(corpora)

gguf = corpora.gguf
# Rows of 32 elements can be quantized.
LLAMA_GGUF = (
    corpora.llama(corpora.VOCABULARY) | {
        "llama.embedding_length": ("I", 32), "llama.feed_forward_length": ("I", 64), "llama.attention.head_count": ("I", 4),
        "llama.attention.head_count_kv": ("I", 2), "llama.attention.key_length": ("I", 8),
        "llama.attention.value_length": ("I", 8)},
    [(name, 0, shape, 4 * corpora.count(shape)) for name, shape in corpora.named(2, 32, 64, 21, 16)])


def save_folder(path):
    """An HF folder of three layers with a tokenizer and an index."""
    path.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copy(ROOT / "fixtures" / "tiny" / "llama3" / name, path / name)
    (path / "tokenizer.json").write_text(json.dumps(corpora.tokenizer("llama-bpe")))
    (path / "tokenizer_config.json").write_text(json.dumps({
        "bos_token": "<s>", "eos_token": {"content": "</s>"}, "add_prefix_space": False, "chat_template": "{{ x }}"}))
    (path / "model.safetensors.index.json").write_text(json.dumps({
        "metadata": {"total_size": 62400}, "weight_map": json.loads(corpora.tensor_names())}))
