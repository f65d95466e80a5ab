#!/usr/bin/env python3
"""Runs GGUF files in llama.cpp: a line `FILE<tab>OUTPUT<tab>ID ID ...` on standard input, a line of answer.

The logits of all tokens are written to OUTPUT in f32. The answer is `ok`, or the errors of llama.cpp. Keys and values are f32,
too. Each file is run by a process of its own, because llama.cpp ends the process on some."""

import ctypes
import os
import sys

from tools import LLAMA

LOG = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)


def fields(text):
    """Members of a structure in llama.h, in order: `p` a pointer, `i` 32 bits, `f` a float, `b` a boolean."""
    kinds = {"p": ctypes.c_void_p, "i": ctypes.c_int32, "f": ctypes.c_float, "b": ctypes.c_bool}
    return [(name, kinds[kind]) for kind, name in (word.split(":") for word in text.split())]


class ModelParameters(ctypes.Structure):
    _fields_ = fields("""p:devices p:overrides i:n_gpu_layers i:split_mode i:load_mode i:lazy_mode i:main_gpu p:tensor_split
        p:progress p:progress_data p:kv_overrides b:vocab_only b:check_tensors b:use_extra_bufts b:no_host b:no_alloc b:load_mtp""")


class ContextParameters(ctypes.Structure):
    _fields_ = fields("""i:n_ctx i:n_batch i:n_ubatch i:n_seq_max i:n_rs_seq i:n_outputs_max i:n_outputs_max_per_seq i:n_threads
        i:n_threads_batch i:ctx_type i:rope_scaling_type i:pooling_type i:attention_type i:flash_attn_type f:rope_freq_base
        f:rope_freq_scale f:yarn_ext_factor f:yarn_attn_factor f:yarn_beta_fast f:yarn_beta_slow i:yarn_orig_ctx f:defrag_thold
        p:cb_eval p:cb_eval_data i:type_k i:type_v p:abort p:abort_data b:embeddings b:offload_kqv b:no_perf b:op_offload b:swa_full
        b:kv_unified p:samplers p:n_samplers p:ctx_other""")


class Batch(ctypes.Structure):
    _fields_ = [("n_tokens", ctypes.c_int32), ("token", ctypes.POINTER(ctypes.c_int32)), ("embd", ctypes.c_void_p),
                ("pos", ctypes.POINTER(ctypes.c_int32)), ("n_seq_id", ctypes.POINTER(ctypes.c_int32)),
                ("seq_id", ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))), ("logits", ctypes.POINTER(ctypes.c_int8))]


def library():
    llama = ctypes.CDLL(str(LLAMA / "libllama.so"))
    pointer = ctypes.c_void_p
    for name, result, *arguments in (
            ("llama_model_default_params", ModelParameters), ("llama_context_default_params", ContextParameters),
            ("llama_model_load_from_file", pointer, ctypes.c_char_p, ModelParameters),
            ("llama_init_from_model", pointer, pointer, ContextParameters), ("llama_model_get_vocab", pointer, pointer),
            ("llama_vocab_n_tokens", ctypes.c_int32, pointer), ("llama_decode", ctypes.c_int32, pointer, Batch),
            ("llama_batch_init", Batch, ctypes.c_int32, ctypes.c_int32, ctypes.c_int32),
            ("llama_get_logits_ith", pointer, pointer, ctypes.c_int32), ("llama_log_set", None, LOG, pointer)):
        function = getattr(llama, name)
        function.restype, function.argtypes = result, arguments
    return llama


def run(llama, path, output, ids):
    """The error of one file, or nothing."""
    said = []
    log = LOG(lambda level, text, _: said.append(text.decode("utf-8", "replace").strip()) if level == 4 else None)
    llama.llama_log_set(log, None)
    parameters = llama.llama_model_default_params()
    parameters.use_extra_bufts = False
    model = llama.llama_model_load_from_file(os.fsencode(path), parameters)
    if not model:
        return " ".join(said)[:300] or "does not load"
    settings = llama.llama_context_default_params()
    settings.n_ctx = settings.n_batch = settings.n_ubatch = 64
    settings.n_threads = settings.n_threads_batch = 1
    settings.flash_attn_type = settings.type_k = settings.type_v = 0  # off, f32, f32
    context = llama.llama_init_from_model(model, settings)
    if not context:
        return " ".join(said)[:300] or "makes no context"
    batch = llama.llama_batch_init(len(ids), 0, 1)
    batch.n_tokens = len(ids)
    for i, token in enumerate(ids):
        batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.seq_id[i][0], batch.logits[i] = token, i, 1, 0, 1
    if llama.llama_decode(context, batch) != 0:
        return " ".join(said)[:300] or "does not decode"
    width = 4 * llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model))
    with open(output, "wb") as file:
        for i in range(len(ids)):
            file.write(ctypes.string_at(llama.llama_get_logits_ith(context, i), width))
    return ""


def main():
    answers = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    llama = library()
    for line in sys.stdin:
        path, output, ids = line.rstrip("\n").split("\t")
        if (child := os.fork()) == 0:
            answer = run(llama, path, output, [int(i) for i in ids.split()]) or "ok"
            os.write(answers, f"{' '.join(answer.split())}\n".encode())
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            os.write(answers, b"llama.cpp ended the process\n")


if __name__ == "__main__":
    main()
