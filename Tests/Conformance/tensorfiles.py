"""Reads what a checkpoint file holds, to compare it: tensors as bytes, metadata with types.

Tensors are `{name: (type, shape, bytes)}` with row-major shapes, metadata is `{key: (types, value)}`.
Every comparison gives the differences as a list of texts; an empty one means equal.
"""

import json
import pathlib

import gguf
import numpy as np


def gguf_tensors(path):
    return {t.name: (t.tensor_type.name, tuple(int(n) for n in reversed(t.shape)), t.data.tobytes())
            for t in gguf.GGUFReader(path).tensors}


def gguf_metadata(path):
    """All keys but the counts that gguf-py adds itself."""
    return {key: ([t.name for t in field.types], field.contents())
            for key, field in gguf.GGUFReader(path).fields.items() if not key.startswith("GGUF.")}


def gguf_values(path):
    """Every tensor in f32, as gguf-py decodes it, with the name of its type."""
    for tensor in gguf.GGUFReader(path).tensors:
        yield tensor.name, tensor.tensor_type.name, gguf.quants.dequantize(tensor.data, tensor.tensor_type)


def safetensors_tensors(path, wanted=lambda name: True):
    """The tensors of a file, or of all files of an HF folder; only the wanted ones are read."""
    path = pathlib.Path(path)
    result = {}
    for file in sorted(path.glob("*.safetensors")) if path.is_dir() else [path]:
        with open(file, "rb") as stream:
            size = int.from_bytes(stream.read(8), "little")
            header = json.loads(stream.read(size))
            for name, entry in header.items():
                if name != "__metadata__" and wanted(name):
                    begin, end = entry["data_offsets"]
                    stream.seek(8 + size + begin)
                    result[name] = (entry["dtype"], tuple(entry["shape"]), stream.read(end - begin))
    return result


def tensor_differences(ours, theirs):
    """What differs between two sets of tensors."""
    for name in sorted(theirs.keys() - ours.keys()):
        yield f"{name} is missing"
    for name in sorted(ours.keys() - theirs.keys()):
        yield f"{name} is there and should not be"
    for name in sorted(ours.keys() & theirs.keys()):
        (type1, shape1, bytes1), (type2, shape2, bytes2) = ours[name], theirs[name]
        if type1 != type2:
            yield f"{name} is {type1}, expected {type2}"
        elif shape1 != shape2:
            yield f"{name} has shape {shape1}, expected {shape2}"
        elif bytes1 != bytes2:
            a, b = (np.frombuffer(x, np.uint8) for x in (bytes1, bytes2))
            if len(a) != len(b):
                yield f"{name} has {len(a)} bytes, expected {len(b)}"
            else:
                places = np.flatnonzero(a != b)
                yield f"{name} differs in {len(places)} of {len(a)} bytes, first at {places[0]}"


def value_differences(ours, theirs, exempt=()):
    """What differs between two dictionaries, but for the exempt keys."""
    for key in sorted((ours.keys() | theirs.keys()) - set(exempt)):
        if key not in ours:
            yield f"{key} is missing, expected {_short(theirs[key])}"
        elif key not in theirs:
            yield f"{key} is there and should not be: {_short(ours[key])}"
        elif ours[key] != theirs[key]:
            yield f"{key} is {_short(ours[key])}, expected {_short(theirs[key])}"


def _short(value):
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def renumber(name, start, end):
    """A tensor's name after layers start to end-1 are cut; None for a tensor that goes."""
    parts = name.split(".")
    for i, part in enumerate(parts):
        if part.isdigit():
            layer = int(part)
            if start <= layer < end:
                return None
            parts[i] = str(layer - (end - start) if layer >= end else layer)
            break
    return ".".join(parts)


def without_layers(tensors, start, end):
    """The tensors that a cut of these layers must leave, under their new names."""
    kept = ((renumber(name, start, end), tensor) for name, tensor in tensors.items())
    return {name: tensor for name, tensor in kept if name is not None}
