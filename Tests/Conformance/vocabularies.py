"""Tokenizers as HF stores them, built from the vocabulary of a GGUF file.

The pre-tokenizers are written as the tokenizer.json of GPT-2, SmolLM2, Llama 3, Qwen2 and others have
them. The vocabularies are real ones: SmolLM2's from its GGUF, the others from the vocabulary files
that come with llama.cpp's source for its own tests. Those of SentencePiece's kinds are written as
Llama's and XLM-RoBERTa's converters in transformers write them.
"""

import base64
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
    "qwen35": _split(QWEN2.replace(r"\p{L}+", r"[\p{L}\p{M}]+").replace(r"[^\s\p{L}\p{N}]", r"[^\s\p{L}\p{M}\p{N}]")),
    "mpt": BYTE_LEVEL,
}
PRE_TOKENIZERS |= {name: PRE_TOKENIZERS["smollm"] for name in ("command-r", "refact", "starcoder")}
COMPOSED = ("qwen2", "mpt", "command-r")


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
    if value("model") in ("llama", "t5"):
        return symbols_json(fields, value)
    tokens, types, pre = value("tokens"), value("token_type"), value("pre")
    # Tokens that the text is searched for are not written in the byte alphabet; all others are.
    added = [dict(id=i, content=token, single_word=False, lstrip=False, rstrip=False, normalized=False,
                  special=kind == CONTROL)
             for i, (token, kind) in enumerate(zip(tokens, types)) if kind in (CONTROL, USER_DEFINED)]
    first_added = {token["id"] for token in added}
    # SmolLM2 lists its special tokens in the vocabulary too, Llama 3 and Qwen2 do not.
    inside = pre not in ("llama-bpe", "qwen2", "qwen35")
    vocabulary = {token: i for i, (token, kind) in enumerate(zip(tokens, types))
                  if inside or i not in first_added}
    begin = value("bos_token_id")
    tokenizer_begins = pre in ("llama-bpe", "command-r")
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": {"type": "NFC"} if pre in COMPOSED else None,
        "pre_tokenizer": PRE_TOKENIZERS[pre],
        "post_processor": (_with_beginning(tokens[begin], begin) if tokenizer_begins
                           else dict(BYTE_LEVEL, trim_offsets=False) if pre != "smollm" else None),
        "decoder": dict(BYTE_LEVEL, add_prefix_space=True),
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                  "ignore_merges": pre == "llama-bpe", "vocab": vocabulary,
                  "merges": value("merges")},
    }


SPACE = "\u2581"


def merges_of(tokens, scores):
    """All pairs of tokens that are together a token, the highest score first, as transformers lists them."""
    known = dict(zip(tokens, scores))
    pairs = [(token[:i], token[i:], score) for token, score in known.items() for i in range(1, len(token))
             if token[:i] in known and token[i:] in known]
    pairs.sort(key=lambda pair: (pair[2], len(pair[0]), len(pair[1])), reverse=True)
    return [[left, right] for left, right, _ in pairs]


def symbols_json(fields, value):
    """The tokenizer.json of SentencePiece's kinds."""
    tokens, types, scores = value("tokens"), value("token_type"), value("scores")
    flag = lambda key, standard: value(key) if "tokenizer.ggml." + key in fields else standard
    added = [dict(id=i, content=token, single_word=False, lstrip=False, rstrip=False, normalized=False,
                  special=kind != USER_DEFINED)
             for i, (token, kind) in enumerate(zip(tokens, types)) if kind in (2, CONTROL, USER_DEFINED)]
    begin = value("bos_token_id")
    is_pairs = value("model") == "llama"
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
    if is_pairs:
        steps = [{"type": "Prepend", "prepend": SPACE}] * flag("add_space_prefix", True) + [replace]
        model = {"type": "BPE", "dropout": None, "unk_token": tokens[flag("unknown_token_id", 0)], "fuse_unk": True,
                 "continuing_subword_prefix": None, "end_of_word_suffix": None, "byte_fallback": True,
                 "ignore_merges": False, "vocab": {token: i for i, token in enumerate(tokens)},
                 "merges": merges_of(tokens, scores)}
        pre_tokenizer = None
    else:
        charsmap = base64.b64encode(bytes(value("precompiled_charsmap"))).decode()
        steps = [{"type": "Precompiled", "precompiled_charsmap": charsmap},
                 {"type": "Strip", "strip_left": False, "strip_right": True},
                 {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": SPACE}]
        model = {"type": "Unigram", "unk_id": value("unknown_token_id"), "byte_fallback": False,
                 "vocab": [[token, score] for token, score in zip(tokens, scores)]}
        pre_tokenizer = {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "always", "split": True}
    frame = _with_beginning(tokens[begin], begin)["processors"][1] if flag("add_bos_token", is_pairs) else None
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": steps}, "pre_tokenizer": pre_tokenizer,
        "post_processor": frame,
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": SPACE}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
            *([{"type": "Strip", "content": " ", "start": 1, "stop": 0}] if flag("add_space_prefix", True) else [])]},
        "model": model,
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


def save_pieces(path, output):
    """Writes the tokenizer.model of SentencePiece that a GGUF file's vocabulary of the kind `llama` was made from."""
    from sentencepiece import sentencepiece_model_pb2
    fields = gguf.GGUFReader(path).fields
    value = lambda key: fields["tokenizer.ggml." + key].contents()
    model = sentencepiece_model_pb2.ModelProto()
    for token, score, kind in zip(value("tokens"), value("scores"), value("token_type")):
        model.pieces.add(piece=token, score=score, type=kind)
    model.trainer_spec.model_type = model.trainer_spec.BPE
    model.trainer_spec.byte_fallback = True
    model.trainer_spec.bos_id, model.trainer_spec.eos_id = value("bos_token_id"), value("eos_token_id")
    model.normalizer_spec.name = "identity"
    model.normalizer_spec.remove_extra_whitespaces = False
    model.normalizer_spec.add_dummy_prefix = (
        value("add_space_prefix") if "tokenizer.ggml.add_space_prefix" in fields else True)
    (output / "tokenizer.model").write_bytes(model.SerializeToString())
