"""`shrink`: from SmolLM2 to a smaller file that llama.cpp loads and that still writes text."""

import tensorfiles
from models import SMOLLM2, SMOLLM2_HF, gguf_path
from perplexity import agree, evaluate, llama_perplexity
from tools import CALIBRATION, folder, generate, resect, resect_json

DROP = 6


def check(checks):
    for name, source, heal in (("smollm2 hf", SMOLLM2_HF, "none"), ("smollm2 q4_1", SMOLLM2, "refit")):
        label = f"shrink {name}"
        with checks.section(label), folder() as work:
            output = f"{work}/small.gguf"
            said = resect_json("shrink", source, "-o", output, "--corpus", CALIBRATION,
                               "--heal", heal, "--choose", "loss", "--drop", DROP, "--type", "Q4_K_M", "--allow-requantize",
                               "--max-perplexity-ratio", 1000)
            metadata = tensorfiles.gguf_metadata(output)
            count = tensorfiles.gguf_metadata(SMOLLM2)["llama.block_count"][1] - DROP
            checks.check(f"{label}: layers", metadata["llama.block_count"][1] == said["layers"] == count,
                         f"{metadata['llama.block_count'][1]}, dropped {said['dropped']}")
            checks.check(f"{label}: file type", metadata["general.file_type"][1] == 15,
                         f"{metadata['general.file_type'][1]} (15 is Q4_K_M)")
            text = generate(output, "Once upon a time", 32)
            checks.check(f"{label}: llama.cpp generates text", len(text.split()) > 5, repr(text[:120]))
            before, after = llama_perplexity(source if source == SMOLLM2 else gguf_path("smollm2")), llama_perplexity(output)
            checks.note(f"{label}: perplexity by llama-perplexity {before:.4f} before, {after:.4f} after")
            # llama.cpp rounds activations to 8 bits where weights are quantized; with the same weights in f32 it does not.
            exact = f"{work}/exact.gguf"
            resect("convert", output, "-o", exact, "--dtype", "f32")
            agree(checks, f"{label}: the result with its weights in f32", evaluate(output), llama_perplexity(exact))
