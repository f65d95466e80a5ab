"""`quantize --type Q4_K_M` against llama-quantize, two threads each."""

import gguf
import numpy as np

from models import SMOLLM2, gguf_path
from rounds import THREADS, medians, resect, row, seconds
from tools import LLAMA

LAYERS, HIDDEN, FFN, KV = 22, 2048, 5632, 256


def large(path):
    """A llama of 1.1 billion random parameters in bf16, with SmolLM2's vocabulary."""
    random = np.random.default_rng(1)
    writer = gguf.GGUFWriter(path, "llama")
    fields = gguf.GGUFReader(SMOLLM2).fields
    for key, field in fields.items():
        if key.startswith("tokenizer."):
            writer.add_key_value(key, field.contents(), *field.types[:2])
    tokens = len(fields["tokenizer.ggml.tokens"].data)
    writer.add_block_count(LAYERS)
    writer.add_context_length(2048)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(FFN)
    writer.add_head_count(HIDDEN // 64)
    writer.add_head_count_kv(KV // 64)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_BF16)
    shapes = [("token_embd", (tokens, HIDDEN)), ("output", (tokens, HIDDEN)), ("output_norm", (HIDDEN,))]
    for layer in range(LAYERS):
        shapes += [(f"blk.{layer}.{name}", shape) for name, shape in (
            ("attn_norm", (HIDDEN,)), ("attn_q", (HIDDEN, HIDDEN)), ("attn_k", (KV, HIDDEN)),
            ("attn_v", (KV, HIDDEN)), ("attn_output", (HIDDEN, HIDDEN)), ("ffn_norm", (HIDDEN,)),
            ("ffn_gate", (FFN, HIDDEN)), ("ffn_up", (FFN, HIDDEN)), ("ffn_down", (HIDDEN, FFN)))]
    for name, shape in shapes:
        if len(shape) == 1:
            data, kind = np.ones(shape, np.float32), gguf.GGMLQuantizationType.F32
        else:
            values = random.standard_normal(shape, np.float32) * 0.02
            data = (values.view(np.uint32) >> 16).astype(np.uint16).view(np.uint8)
            kind = gguf.GGMLQuantizationType.BF16
        writer.add_tensor(f"{name}.weight", data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def measure(work, options):
    cases = [("SmolLM2", gguf_path("smollm2"), options.rounds)]
    if options.large:
        large(work / "large.gguf")
        cases.append(("1.1 billion parameters", work / "large.gguf", min(3, options.rounds)))
    rows = []
    for name, model, rounds in cases:
        output = work / "out.gguf"
        found = medians({
            "resect quantize": lambda: resect(
                "quantize", model, "-o", output, "--type", "Q4_K_M", output=output),
            "llama-quantize": lambda: seconds(
                LLAMA / "llama-quantize", model, output, "Q4_K_M", THREADS, output=output),
        }, rounds)
        rows.append(row(f"quantize to Q4_K_M, {name}", found["resect quantize"], "llama-quantize",
                        found["llama-quantize"], 1.0))
    return rows
