"""`quantize` of 12 matrices of 4096 x 4096 in bf16 to forms of folders, against the libraries that make them: from the file
to the file, whole processes. How many threads a library uses is its own choice; resect has two."""

import json
import sys

import torch
from safetensors.torch import save_file

from rounds import medians, resect, row, seconds

SIZE, LAYERS = 4096, 12
# For each type: the library, the code that packs {name: weight} of `source` into `output`, and the target.
PEERS = {
    "MLX4": ("mx.quantize", """
import mlx.core as mx
mx.set_default_device(mx.cpu)
parts = {}
for name, weight in mx.load(source).items():
    module = name.removesuffix(".weight")
    parts[name], parts[module + ".scales"], parts[module + ".biases"] = mx.quantize(weight, group_size=64, bits=4)
mx.save_safetensors(output, parts, metadata={"format": "mlx"})
""", 0.5),
    "NF4": ("bitsandbytes", """
import torch
from bitsandbytes import functional
from safetensors.torch import load_file, save_file
torch.set_num_threads(2)
parts = {}
for name, weight in load_file(source).items():
    parts[name], state = functional.quantize_4bit(weight, quant_type="nf4")
    parts |= {f"{name}.{key}": value for key, value in state.as_dict(packed=True).items()}
save_file(parts, output)
""", 0.5),
}


def measure(work, options):
    folder, output, theirs = work / "matrices", work / "packed", work / "theirs.safetensors"
    folder.mkdir()
    generator = torch.Generator().manual_seed(1)
    save_file({
        f"model.layers.{layer}.mlp.up_proj.weight":
            (torch.randn(SIZE, SIZE, generator=generator) * 0.02).to(torch.bfloat16) for layer in range(LAYERS)
    }, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"num_hidden_layers": LAYERS, "dtype": "bfloat16"}))
    rows = []
    for kind, (peer, code, target) in PEERS.items():
        script = f"source, output = {str(folder / 'model.safetensors')!r}, {str(theirs)!r}\n{code}"
        found = medians({
            f"resect quantize {kind}": lambda: resect("quantize", folder, "-o", output, "--type", kind, output=output),
            peer: lambda: seconds(sys.executable, "-c", script, output=theirs),
        }, options.rounds)
        rows.append(row(f"12 matrices to {kind}", found[f"resect quantize {kind}"], peer, found[peer], target))
    return rows
