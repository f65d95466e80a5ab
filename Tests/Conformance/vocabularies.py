"""Tokenizers as HF stores them, built from the vocabulary of a GGUF file.

The four pre-tokenizers are written as the tokenizer.json of GPT-2, SmolLM2, Llama 3 and Qwen2 have
them. The vocabularies are real ones: SmolLM2's from its GGUF, the others from the vocabulary files
that come with llama.cpp's source for its own tests.
"""

import json

import gguf
from tokenizers import Tokenizer

CONTROL, USER_DEFINED = 3, 4
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
LLAMA_3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
           r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA_3.replace(r"\p{N}{1,3}", r"\p{N}")


def _split(pattern):
    return {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False},
        dict(BYTE_LEVEL, use_regex=False)]}


PRE_TOKENIZERS = {
    "gpt-2": BYTE_LEVEL,
    "smollm": {"type": "Sequence", "pretokenizers": [
        {"type": "Digits", "individual_digits": True}, BYTE_LEVEL]},
    "llama-bpe": _split(LLAMA_3),
    "qwen2": _split(QWEN2),
}


def _with_beginning(token, number):
    """Llama 3's post-processor: the beginning of text stands before every sequence."""
    begin = {"SpecialToken": {"id": token, "type_id": 0}}
    first, second = ({"Sequence": {"id": i, "type_id": t}} for i, t in (("A", 0), ("B", 1)))
    begin_second = {"SpecialToken": {"id": token, "type_id": 1}}
    return {"type": "Sequence", "processors": [
        dict(BYTE_LEVEL, add_prefix_space=True, trim_offsets=False),
        {"type": "TemplateProcessing", "single": [begin, first],
         "pair": [begin, first, begin_second, second],
         "special_tokens": {token: {"id": token, "ids": [number], "tokens": [token]}}}]}


def tokenizer_json(path):
    """The tokenizer.json of a GGUF file's vocabulary, as an object."""
    fields = gguf.GGUFReader(path).fields
    value = lambda key: fields["tokenizer.ggml." + key].contents()
    tokens, types, pre = value("tokens"), value("token_type"), value("pre")
    # Tokens that the text is searched for are not written in the byte alphabet; all others are.
    added = [dict(id=i, content=token, single_word=False, lstrip=False, rstrip=False, normalized=False,
                  special=kind == CONTROL)
             for i, (token, kind) in enumerate(zip(tokens, types)) if kind in (CONTROL, USER_DEFINED)]
    first_added = {token["id"] for token in added}
    # SmolLM2 lists its special tokens in the vocabulary too, Llama 3 and Qwen2 do not.
    inside = pre in ("smollm", "gpt-2")
    vocabulary = {token: i for i, (token, kind) in enumerate(zip(tokens, types))
                  if inside or i not in first_added}
    begin = value("bos_token_id")
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": {"type": "NFC"} if pre == "qwen2" else None,
        "pre_tokenizer": PRE_TOKENIZERS[pre],
        "post_processor": (_with_beginning(tokens[begin], begin) if pre == "llama-bpe"
                           else dict(BYTE_LEVEL, trim_offsets=False) if pre != "smollm" else None),
        "decoder": dict(BYTE_LEVEL, add_prefix_space=True),
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                  "ignore_merges": pre == "llama-bpe", "vocab": vocabulary,
                  "merges": value("merges")},
    }


def save(path, output):
    """Writes tokenizer.json and tokenizer_config.json of a GGUF file's vocabulary into a folder."""
    from transformers import PreTrainedTokenizerFast
    fields = gguf.GGUFReader(path).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    names = {"bos_token": "bos_token_id", "eos_token": "eos_token_id",
             "unk_token": "unknown_token_id", "pad_token": "padding_token_id"}
    special = {name: tokens[fields[key].contents()] for name, key in
               ((n, "tokenizer.ggml." + k) for n, k in names.items()) if key in fields}
    if "tokenizer.ggml.add_space_prefix" in fields:
        special["add_prefix_space"] = fields["tokenizer.ggml.add_space_prefix"].contents()
    tokenizer = Tokenizer.from_str(json.dumps(tokenizer_json(path), ensure_ascii=False))
    saved = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, clean_up_tokenization_spaces=False, model_max_length=8192, **special)
    if "tokenizer.chat_template" in fields:
        saved.chat_template = fields["tokenizer.chat_template"].contents()
    saved.save_pretrained(output)
