"""A heal without training in PyTorch and f64, written from its formulas: what `heal` is held to.

With x the cut model's stream, corrections so far included, X[k] the whole model's stream at the input of layer k and Y[k] its
stream behind layer k's attention: behind a gap o_proj aims at Y[k] - x, and down_proj at X[k + 1] - y. The two layers before a gap
from a to b jump over it together: their products aim at the same plus equal steps of X[b] - X[a]. W' = W0' + (G + ridge mu I)^-1 (C - G W0') with G = inputs' inputs, C = inputs' targets, mu the mean of G's diagonal.
"""

import torch

RIDGES = {"gap": 5e-4, "attention": 0.01, "mlp": 0.2}
JUMP_LAYERS = 2
MASK = (1 << 64) - 1


class Random:
    """SplitMix64, and numbers below a limit from its high bits."""

    def __init__(self, seed):
        self.state = seed & MASK

    def below(self, limit):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        value = self.state
        value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
        return ((value ^ (value >> 31)) * limit) >> 64

    def shuffle(self, values):
        for last in range(len(values) - 1, 0, -1):
            other = self.below(last + 1)
            values[last], values[other] = values[other], values[last]


def shares(wanted, available):
    """A number in parts that are as equal as what is there allows, the first kinds first."""
    found, rest = [0] * len(available), min(wanted, sum(available))
    while rest:
        kinds = [kind for kind, count in enumerate(available) if found[kind] < count]
        each = max(1, rest // len(kinds))
        for kind in kinds:
            more = min(each, rest, available[kind] - found[kind])
            found[kind] += more
            rest -= more
    return found


def split(kinds, fitting, choosing, seed, held_out=None):
    """The contexts that are fitted and those that choose, of kinds given as lists of contexts; nothing is ranked."""
    random, rings = Random(seed), []
    for kind in kinds:
        start = random.below(len(kind)) if kind else 0
        rings.append(list(range(start, len(kind))) + list(range(start)))
    fitted = [kind for kind in range(len(kinds)) if kind != held_out]
    total = sum(len(kinds[kind]) for kind in fitted)

    def take(wanted, of):
        parts = shares(wanted, [len(ring) if kind in of else 0 for kind, ring in enumerate(rings)])
        taken = [ring[:count] for ring, count in zip(rings, parts)]
        for kind, count in enumerate(parts):
            rings[kind] = rings[kind][count:]
        return [kinds[kind][ring[turn]] for turn in range(max(parts)) for kind, ring in enumerate(taken) if turn < len(ring)]

    if held_out is None:
        judges = take(min(choosing, max(1, total // 8)), fitted)
    else:
        judges = take(min(choosing, len(kinds[held_out])), [held_out])
    for ring in rings:
        random.shuffle(ring)
    return take(fitting, fitted), judges


class Walk:
    """The heal of a model of transformers in f64, without some layers."""

    def __init__(self, model, fitted, judged, dropped, method="refit"):
        self.model, self.layers = model, model.model.layers
        self.dropped, self.method, self.found = set(dropped), method, {}
        self.count = len(fitted)
        self.ids = torch.tensor(fitted + judged)

    def attention(self, layer, x):
        """What the heads of a layer give side by side: the input of o_proj."""
        inputs = []
        module = self.layers[layer]
        positions = torch.arange(x.shape[1])[None]
        hook = module.self_attn.o_proj.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
        try:
            module.self_attn(hidden_states=module.input_layernorm(x), attention_mask=None,
                             position_embeddings=self.model.model.rotary_emb(x, positions))
        finally:
            hook.remove()
        return inputs[0]

    def inner(self, layer, y):
        """The input of down_proj."""
        module = self.layers[layer]
        mlp, y = module.mlp, module.post_attention_layernorm(y)
        return mlp.act_fn(mlp.gate_proj(y)) * mlp.up_proj(y)

    def fit(self, name, weight, inputs, targets, ridge):
        """The new weight, unless it is no better on the contexts that judge."""
        rows = lambda values, part: values[part].flatten(0, 1)
        fitted, judged = slice(0, self.count), slice(self.count, None)
        old, a, t = weight.T, rows(inputs, fitted), rows(targets, fitted)
        gram = a.T @ a
        mean = gram.diagonal().mean()
        new = old + torch.linalg.solve(gram + ridge * mean * torch.eye(len(gram), dtype=gram.dtype), a.T @ t - gram @ old)
        a, t = rows(inputs, judged), rows(targets, judged)
        gain = (1 - (a @ new - t).square().sum() / (a @ old - t).square().sum()).item()
        self.found[name] = {"weight": new.T if gain > 0 else weight, "gain": gain, "kept": gain > 0, "gram": gram}
        return self.found[name]["weight"]

    def shares(self, kept):
        """For each layer that jumps over a gap: the ends of the gap, and the share of the jump behind its attention and its MLP."""
        found = {}
        for index, layer in enumerate(kept):
            end = kept[index + 1] if index + 1 < len(kept) else len(self.layers)
            if end == layer + 1:
                continue
            before = [layer]
            while self.method == "refit" and len(before) < JUMP_LAYERS and before[0] - 1 in kept:
                before.insert(0, before[0] - 1)
            for number, jumping in enumerate(before):
                found[jumping] = layer + 1, end, (number + 0.5) / len(before), (number + 1) / len(before)
        return found

    def loss(self, x):
        """The mean loss of the second halves of the contexts that judge, for states after the last layer."""
        ids, half = self.ids[self.count:], self.ids.shape[1] // 2
        logits = self.model.lm_head(self.model.model.norm(x[self.count:, half:-1]))
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, half + 1:].flatten()).item()

    @torch.no_grad()
    def run(self):
        """The fitted weights by the names that they have before the cut, each with its gain, and whether they are kept."""
        x = plain = self.model.model.embed_tokens(self.ids)
        inputs, behind = [x], []  # X and Y
        for layer, module in enumerate(self.layers):
            behind.append(inputs[-1] + module.self_attn.o_proj(self.attention(layer, inputs[-1])))
            inputs.append(behind[-1] + module.mlp.down_proj(self.inner(layer, behind[-1])))
        kept = [layer for layer in range(len(self.layers)) if layer not in self.dropped]
        shares = self.shares(kept)
        for index, layer in enumerate(kept):
            module, after = self.layers[layer], layer != index
            start, end, middle, share = shares.get(layer, (0, 0, 0, 0))
            way = inputs[end] - inputs[start]
            refits = self.method == "refit" and (after or layer in shares)
            output, down = module.self_attn.o_proj.weight, module.mlp.down_proj.weight
            heads = self.attention(layer, x)
            if refits:
                output = self.fit(f"model.layers.{layer}.self_attn.o_proj.weight", output, heads,
                                  behind[layer] + middle * way - x, RIDGES["attention"])
            y = x + heads @ output.T
            inner = self.inner(layer, y)
            if refits or layer in shares:
                down = self.fit(f"model.layers.{layer}.mlp.down_proj.weight", down, inner, inputs[layer + 1] + share * way - y,
                                RIDGES["gap" if layer in shares else "mlp"])
            x = y + inner @ down.T
            plain = plain + module.self_attn.o_proj(self.attention(layer, plain))
            plain = plain + module.mlp.down_proj(self.inner(layer, plain))
        if self.loss(x) >= self.loss(plain):
            for change in self.found.values():
                change["kept"] = False
        return self.found
