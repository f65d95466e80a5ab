"""The logits of a model of transformers with some of its layers skipped: each of these returns its input unchanged.

Nothing else changes: every other layer keeps its number, its kind, its mask, its rotation and its weights."""

import contextlib

import torch

# Parts of towers for images and sound, whose layers are not the decoder's.
OTHERS = ("vision", "visual", "audio", "image", "multi_modal", "perceiver", "resampler")
# XLM keeps a list for each part of its layers. What these give is added to the stream.
ADDED = ("attentions", "ffns")
# How the stream is called where no layer hands it to the next as it is.
STREAMS = ("hidden_states", "x")


class Layer:
    """A layer of the decoder. `carried` maps a part of what the layer before gave to the argument that it arrives in."""

    def __init__(self, module, adds):
        self.module, self.adds, self.output, self.carried = module, adds, None, {}

    def identity(self, *arguments, **named):
        """In place of the layer's forward pass."""
        given = dict(enumerate(arguments)) | named
        stream = given[self.carried[0] if 0 in self.carried else next((n for n in STREAMS if n in given), 0)]
        if self.adds:
            stream = torch.zeros_like(stream)
        if not isinstance(self.output, (tuple, list)) and not hasattr(self.output, "items"):
            return stream
        parts = [stream] + [given.get(self.carried.get(i)) for i in range(1, len(tuple(self.values())))]
        if hasattr(self.output, "items"):  # a dataclass of named parts
            return type(self.output)(**dict(zip(self.output.keys(), parts)))
        if hasattr(self.output, "_fields"):
            return type(self.output)(*parts)
        return type(self.output)(parts)

    def values(self):
        if hasattr(self.output, "items"):
            return tuple(self.output.values())
        return tuple(self.output) if isinstance(self.output, (tuple, list)) else (self.output,)


def stacks(model, depth):
    """The decoder's layers: the outermost lists of that length."""
    found = {}
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == depth and not any(
                name.startswith(f"{outer}.") for outer in found) and not any(word in name for word in OTHERS):
            found[name] = [Layer(layer, name.endswith(ADDED)) for layer in module]
    return list(found.values())


@torch.no_grad()
def logits(model, ids):
    return model(input_ids=ids, use_cache=False).logits


def observe(model, found, ids):
    """Runs the whole model once and notes which states its layers pass to each other. Gives the logits."""
    hooks, before = [], []

    def enter(layer):
        def hook(_, arguments, named):
            for last in before[-1:]:
                for name, value in (dict(enumerate(arguments)) | named).items():
                    for i, part in enumerate(last.values()):
                        if part is value and part is not None and i not in layer.carried:
                            layer.carried[i] = name
        return hook

    def leave(layer):
        def hook(_, __, output):
            layer.output = output
            before.append(layer)
        return hook

    for stack in found:
        for layer in stack:
            hooks += [layer.module.register_forward_pre_hook(enter(layer), with_kwargs=True),
                      layer.module.register_forward_hook(leave(layer))]
    try:
        result = logits(model, ids)
    finally:
        for hook in hooks:
            hook.remove()
    for stack in found:
        for layer in stack:  # the first layer has none before it
            layer.carried = layer.carried or max((other.carried for other in stack), key=len)
    return result


@contextlib.contextmanager
def skipping(found, skipped):
    """Skips layers while its `with` lasts."""
    layers = [stack[number] for stack in found for number in skipped]
    try:
        for layer in layers:
            layer.module.forward = layer.identity
        yield
    finally:
        for layer in layers:
            layer.module.__dict__.pop("forward", None)
