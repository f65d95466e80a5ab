"""`quantize --imatrix` against llama-quantize: both forms of an importance matrix of SmolLM2, whole and through cuts, and of experts."""

import transformers

import families
import imatrices
import mixtures
import smallmodels
import tensorfiles
from models import gguf_path, imatrix
from tools import CALIBRATION, EVALUATION, THREADS, folder, llama, resect, resect_json

MIXTURES = ("Q4_0", "Q4_K_M", "IQ4_XS", "Q2_K")
CUT = (12, 20)
# More experts than a short text uses, in rows that every type divides.
EXPERTS = {"num_hidden_layers": 2, "hidden_size": 256, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": families.VOCABULARY,
           "head_dim": 64, "num_experts": 32, "num_local_experts": 32, "num_experts_per_tok": 1, "moe_intermediate_size": 256, "norm_topk_prob": True,
           "max_position_embeddings": 256, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": None}


def check(checks):
    model = gguf_path("smollm2")
    with folder() as work:
        for form in ("gguf", "dat"):
            for mixture in MIXTURES if form == "gguf" else ("Q4_0",):
                label = f"importance {form} {mixture}"
                with checks.section(label):
                    ours, theirs = f"{work}/ours.gguf", f"{work}/theirs.gguf"
                    llama("llama-quantize", "--imatrix", imatrix(form), model, theirs, mixture, THREADS)
                    resect("quantize", model, "-o", ours, "--type", mixture, "--imatrix", imatrix(form), "--force")
                    equal(checks, label, ours, theirs)
        with checks.section("importance through a cut"):
            cut(checks, model, work)
        with checks.section("importance through shrink"):
            shrink(checks, model, work)
    with checks.section("importance of experts"), folder() as work, mixtures.exact_encoders():
        experts(checks, work)


def equal(checks, label, ours, theirs):
    checks.equal(f"{label}: tensors equal llama-quantize's", tensorfiles.tensor_differences(
        tensorfiles.gguf_tensors(ours), tensorfiles.gguf_tensors(theirs)))
    # llama-quantize writes the whole path of the matrix, and we its name.
    values = [tensorfiles.gguf_metadata(path) for path in (ours, theirs)]
    checks.equal(f"{label}: metadata equals llama-quantize's", tensorfiles.value_differences(
        *values, exempt=("quantize.imatrix.file",)))


def renumbered(path, start, end):
    """The matrix as it would be of a model without some layers."""
    entries = {tensorfiles.renumber(name, start, end): entry for name, entry in imatrices.read(imatrix()).items()}
    entries.pop(None)
    imatrices.write(path, entries)


def cut(checks, model, work):
    start, end = CUT
    short, matrix, ours, theirs = (f"{work}/{name}.gguf" for name in ("cut", "matrix", "cut-ours", "cut-theirs"))
    resect("cut", model, "-o", short, "--layers", f"{start}:{end}")
    renumbered(matrix, start, end)
    llama("llama-quantize", "--imatrix", matrix, short, theirs, "Q4_K_M", THREADS)
    resect("quantize", short, "-o", ours, "--type", "Q4_K_M", "--imatrix", imatrix(),
           "--imatrix-dropped", f"{start}:{end}")
    checks.equal("a cut model and the matrix of the whole one: tensors equal llama-quantize's with the matrix renumbered",
                 tensorfiles.tensor_differences(tensorfiles.gguf_tensors(ours), tensorfiles.gguf_tensors(theirs)))
    # llama-quantize cuts too; types that do not depend on the number of layers are then the same.
    pruned = ",".join(map(str, range(start, end)))
    llama("llama-quantize", "--pure", "--imatrix", imatrix(), "--prune-layers", pruned, model, theirs, "Q4_0", THREADS)
    resect("quantize", short, "-o", ours, "--type", "Q4_0", "--pure", "--imatrix", imatrix(),
           "--imatrix-dropped", f"{start}:{end}", "--force")
    checks.equal("a cut model, Q4_0 throughout: tensors equal those of llama-quantize --prune-layers",
                 tensorfiles.tensor_differences(tensorfiles.gguf_tensors(ours), tensorfiles.gguf_tensors(theirs)))


def shrink(checks, model, work):
    """shrink chooses the layers itself; the remaining layers keep the importance of their old numbers."""
    ours, short, matrix, theirs = (f"{work}/{name}.gguf" for name in ("small", "short", "renumbered", "expected"))
    small = ("--context", 64, "--samples", 2, "--evaluation-samples", 2)
    answer = resect_json("shrink", model, "-o", ours, "--corpus", CALIBRATION, "--evaluation", EVALUATION, "--heal", "none", "--drop", 8,
                         "--max-perplexity-ratio", 1000, "--type", "Q4_K_M", "--imatrix", imatrix(), *small)
    start, end = map(int, answer["dropped"][0].split(":"))
    resect("cut", model, "-o", short, "--layers", f"{start}:{end}")
    renumbered(matrix, start, end)
    llama("llama-quantize", "--imatrix", matrix, short, theirs, "Q4_K_M", THREADS)
    checks.equal(f"shrink without {start}:{end}: tensors equal llama-quantize's of the same cut",
                 tensorfiles.tensor_differences(tensorfiles.gguf_tensors(ours), tensorfiles.gguf_tensors(theirs)))


def experts(checks, work):
    """llama-imatrix counts the rows of each expert, and an expert without rows has no importance."""
    smallmodels.build(transformers.Qwen3MoeForCausalLM, EXPERTS).save_pretrained(f"{work}/model")
    families.tokenizer().save_pretrained(f"{work}/model")
    model, made, ours, theirs = (f"{work}/{name}.gguf" for name in ("model", "matrix", "ours", "theirs"))
    resect("convert", f"{work}/model", "-o", model, "--dtype", "f32")
    run = ("-m", model, "-f", CALIBRATION, "-c", 64, "--chunks", 1, "-t", THREADS)
    llama("llama-imatrix", *run, "-o", made)
    counts = {name: entry[1].ravel() for name, entry in imatrices.read(made).items() if "_exps" in name}
    unused = sum(int((each == 0).sum()) for each in counts.values())
    checks.check("importance of experts: each is counted, and some have no rows",
                 unused > 0 and all(len(each) == EXPERTS["num_experts"] for each in counts.values()), f"{unused} without rows")
    llama("llama-imatrix", *run, "--output-format", "dat", "-o", f"{work}/matrix.dat")
    short, cut = f"{work}/short.gguf", f"{work}/cut.gguf"
    resect("cut", model, "-o", short, "--layers", "0:1")
    for form, matrix in (("gguf", made), ("dat", f"{work}/matrix.dat")):
        for mixture in MIXTURES if form == "gguf" else ("Q4_K_M",):
            llama("llama-quantize", "--imatrix", matrix, model, theirs, mixture, THREADS)
            resect("quantize", model, "-o", ours, "--type", mixture, "--imatrix", matrix, "--force")
            equal(checks, f"importance of experts, {form} {mixture}", ours, theirs)
        # A matrix that follows a cut is written in the form of GGUF, and llama-quantize reads it.
        resect("cut", matrix, "-o", cut, "--layers", "0:1", "--force")
        llama("llama-quantize", "--imatrix", cut, short, theirs, "Q4_K_M", THREADS)
        resect("quantize", short, "-o", ours, "--type", "Q4_K_M", "--imatrix", matrix, "--imatrix-dropped", "0:1", "--force")
        checks.equal(f"importance of experts, {form} cut: tensors equal llama-quantize's", tensorfiles.tensor_differences(
            tensorfiles.gguf_tensors(ours), tensorfiles.gguf_tensors(theirs)))
