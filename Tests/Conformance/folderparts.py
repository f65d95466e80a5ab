"""The parts of packed weights, unpacked by the definitions of the layouts, with nothing from resect or the peers."""

import json
import pathlib

import numpy as np
import torch
from safetensors import safe_open

AWQ_ORDER = (0, 4, 1, 5, 2, 6, 3, 7)


def tensors(path):
    """All tensors of a folder, by name."""
    found = {}
    for file in sorted(pathlib.Path(path).glob("*.safetensors")):
        with safe_open(str(file), "pt") as stream:
            found |= {name: stream.get_tensor(name) for name in stream.keys()}
    return found


def nibbles(words):
    """The codes of words along their last axis, the first in the lowest bits."""
    words = words.contiguous().numpy().view(np.uint32)
    codes = (words[..., None] >> (4 * np.arange(8, dtype=np.uint32))) & 15
    return codes.reshape(*words.shape[:-1], -1).astype(np.int64)


def interleaved(words):
    codes = nibbles(words)
    return codes.reshape(codes.shape[0], -1, 8)[:, :, AWQ_ORDER].reshape(codes.shape[0], -1)


def floats(tensor):
    return tensor.to(torch.float64).numpy()


def decoded(path):
    """For each packed module its codes [out, in], its scales and offsets [out, in/group], and its values in f64."""
    found = tensors(path)
    config = json.loads((pathlib.Path(path) / "config.json").read_text())
    settings = config["quantization_config"]
    method = settings.get("quant_method", "mlx")
    mark = {"compressed-tensors": ".weight_packed", "gptq": ".qweight", "awq": ".qweight", "mlx": ".scales"}[method]
    result = {}
    for name in found:
        if not name.endswith(mark):
            continue
        module = name[:-len(mark)]
        part = lambda ending: found[f"{module}.{ending}"]
        if method == "compressed-tensors":
            rows, columns = part("weight_shape").tolist()
            codes, scales = nibbles(part("weight_packed"))[:, :columns], floats(part("weight_scale"))
            offsets = np.full(scales.shape, 8)
            if f"{module}.weight_zero_point" in found:
                offsets = nibbles(part("weight_zero_point").T).T[:rows]
        elif method == "gptq":
            codes, scales = nibbles(part("qweight").T), floats(part("scales")).T
            offsets = nibbles(part("qzeros")).T + (settings["checkpoint_format"] == "gptq")
            assert (part("g_idx").numpy() == np.arange(codes.shape[1]) // settings["group_size"]).all()
        elif method == "awq":
            codes, scales = interleaved(part("qweight")).T, floats(part("scales")).T
            offsets = interleaved(part("qzeros")).T
        else:
            codes, scales, offsets = nibbles(part("weight")), floats(part("scales")), floats(part("biases"))
        size = codes.shape[1] // scales.shape[1]
        wide, shift = np.repeat(scales, size, 1), np.repeat(offsets, size, 1)
        result[module] = codes, scales, offsets, codes * wide + shift if method == "mlx" else (codes - shift) * wide
    return result
