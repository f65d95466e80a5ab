"""What a model says of how it was made, as the peers read it: transformers, huggingface_hub, safetensors, gguf-py, llama.cpp."""

import json
import pathlib
import shutil

from huggingface_hub import ModelCard
from safetensors import safe_open

import forward
import tensorfiles
from tools import FIXTURE, folder, generate, resect

CARD = "---\r\nlicense: mit\r\nbase_model: some/model\r\n---\r\n# A model\r\n\r\nSays something.\r\n"


def check(checks):
    with folder() as work:
        model, cut, plain, file = f"{work}/model", f"{work}/cut", f"{work}/plain", f"{work}/cut.gguf"
        shutil.copytree(FIXTURE, model)
        with open(f"{model}/README.md", "w", encoding="utf-8", newline="") as card:
            card.write(CARD)
        with checks.section("provenance of a folder"):
            resect("cut", model, "-o", cut, "--layers", "4:6", "--provenance")
            resect("cut", model, "-o", plain, "--layers", "4:6")
            _, info = forward.load(pathlib.Path(cut), output_loading_info=True)
            checks.equal("a folder that says how it was made loads with no missing or unexpected key",
                         [f"{kind} {keys}" for kind, keys in info.items() if keys])
            card = ModelCard.load(f"{cut}/README.md")
            checks.check("huggingface_hub reads the card: its members, and the tag",
                         card.data.license == "mit" and card.data.base_model == "some/model" and card.data.tags == ["resect"],
                         card.data.to_yaml().replace("\n", " "))
            with open(f"{cut}/README.md", encoding="utf-8", newline="") as said:
                text = said.read()
            checks.check("the card keeps its text and its line ends",
                         "# A model\r\n\r\nSays something.\r\n" in text and text.count("\n") == text.count("\r\n"))
            checks.equal("the tensors are those of the same cut without it", tensorfiles.tensor_differences(
                tensorfiles.safetensors_tensors(cut), tensorfiles.safetensors_tensors(plain)))
        with checks.section("provenance of GGUF"):
            resect("cut", model, "-o", file, "--layers", "4:6", "--provenance")
            found = tensorfiles.gguf_metadata(file)
            history = json.loads(found["resect.provenance"][1])
            checks.check("gguf-py reads the history", history["steps"][0]["options"] == {"layers": ["4:6"]}, str(history)[:100])
            said = generate(file, "And it came to pass", 16)
            checks.check("llama.cpp loads the file and generates", bool(said), repr(said[:80]))
            again = f"{work}/again.gguf"
            resect("apply", file, model, "-o", again)
            checks.check("apply makes the same bytes",
                         open(file, "rb").read() == open(again, "rb").read())  # noqa: SIM115
        with checks.section("provenance of safetensors"):
            output = f"{work}/cut.safetensors"
            resect("cut", model, "-o", output, "--layers", "4:6", "--provenance")
            with safe_open(output, "pt") as opened:
                history = json.loads(opened.metadata()["resect.provenance"])
            checks.check("safetensors reads the history", history["steps"][0]["command"] == "cut")
