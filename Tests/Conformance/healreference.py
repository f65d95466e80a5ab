"""A heal without training in PyTorch and f64, written from its formulas: what `heal` is held to.

With x the cut model's stream, corrections so far included, X[k] the whole model's stream at the input of layer k and Y[k] its
stream behind layer k's attention: behind a gap the output product of attention aims at Y[k] - x, and the last one of the MLP at
X[k + 1] - y, with y = x and what attention gives by then, whether the MLP reads y or x. The two layers before a gap from a to b jump over it
together: their products aim at the same plus equal steps of X[b] - X[a]. What is aimed at is divided by the factor of what a layer adds.
W' = W0' + (G + ridge mu I)^-1 (C - G W0') with G = inputs' inputs, C = inputs' targets, mu the mean of G's diagonal.

Where a norm g z / r is behind a product z, r is taken from the product as it was: inputs are divided by r, and the target is
z / r plus (wanted - g z / r) g / (g^2 + 0.01 mean g^2), without what of it lies along z. Then each element of g is fitted too.
"""

import torch

RIDGES = {"gap": 5e-4, "attention": 0.01, "mlp": 0.2, "norm": 0.01}
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


# Names of the output product of attention and the last one of the MLP, of their modules, and of the norms behind them.
PRODUCTS = {"attention": ("self_attn.o_proj", "self_attn.dense", "attention.dense", "attn.c_proj"),
            "mlp": ("mlp.down_proj", "mlp.fc2", "mlp.dense_4h_to_h", "mlp.c_proj")}
NORMS = {"attention": ("post_attention_layernorm", "post_self_attn_layernorm"),
         "mlp": ("post_feedforward_layernorm", "post_mlp_layernorm")}


class Layer:
    """A layer of a model of transformers, whose products can be replaced."""

    def __init__(self, module, name, options):
        self.module, self.name, self.options = module, name, options
        modules = dict(module.named_modules())
        find = lambda names: next((found for found in names if found in modules), None)
        self.products, self.norms = ({part: find(names) for part, names in table.items()} for table in (PRODUCTS, NORMS))
        # The norm before the MLP has the name of one behind attention where there is none.
        if self.norms["mlp"] is None:
            self.norms["attention"] = None
        self.scale = getattr(module, "residual_multiplier", 1.0)

    def part(self, name):
        return self.module.get_submodule(name)

    def is_turned(self, part):
        return type(self.part(self.products[part])).__name__ == "Conv1D"

    def run(self, x):
        """The output of the layer, and the input of each product."""
        found = {}
        note = lambda part: lambda _, given: found.__setitem__(part, given[0])
        hooks = [self.part(name).register_forward_pre_hook(note(part)) for part, name in self.products.items()]
        try:
            output = self.module(x, **self.options)
        finally:
            for hook in hooks:
                hook.remove()
        return (output[0] if isinstance(output, tuple) else output), found

    def gives(self, part, inputs):
        """What a part adds to the stream."""
        result = self.part(self.products[part])(inputs)
        return self.scale * (self.part(self.norms[part])(result) if self.norms[part] else result)


class Walk:
    """The heal of a model of transformers in f64, without some layers."""

    def __init__(self, model, fitted, judged, dropped, method="refit", ridges=RIDGES):
        self.model, self.ridges = model, ridges
        self.dropped, self.method, self.found = set(dropped), method, {}
        self.count = len(fitted)
        self.ids = torch.tensor(fitted + judged)
        names = [name for name, module in model.named_modules() if isinstance(module, torch.nn.ModuleList)
                 and len(module) == model.config.num_hidden_layers]
        modules = model.get_submodule(names[0])
        options = {}

        def keep(layer):
            def hook(_, given, named):
                options[layer] = {key: value for key, value in named.items() if key not in ("hidden_states", "past_key_values", "use_cache")}
                options.setdefault("start", given[0] if given else named["hidden_states"])
            return hook

        hooks = [module.register_forward_pre_hook(keep(layer), with_kwargs=True) for layer, module in enumerate(modules)]
        last = modules[-1].register_forward_hook(lambda _, __, output: options.__setitem__("end", output))
        try:
            with torch.no_grad():
                model(self.ids, use_cache=False, logits_to_keep=1)
        finally:
            for hook in hooks + [last]:
                hook.remove()
        self.start = options["start"]
        self.layers = [Layer(module, f"{names[0]}.{index}", options[index]) for index, module in enumerate(modules)]

    def fit(self, layer, part, inputs, wanted, ridge):
        """Fits a product and the norm behind it, and puts what is better on the contexts that judge into the model."""
        rows = lambda values, judged: values[self.count:].flatten(0, 1) if judged else values[:self.count].flatten(0, 1)
        module = layer.part(layer.products[part])
        norm = layer.part(layer.norms[part]) if layer.norms[part] else None
        turned = layer.is_turned(part)
        old = module.weight if turned else module.weight.T
        bias = 0 if module.bias is None else module.bias
        wanted = wanted / layer.scale
        if norm is None:
            scaled, target = inputs, wanted - bias
        else:
            product = module(inputs)
            root = (product.square().mean(-1, keepdim=True) + epsilon(norm)).sqrt()
            normed, g = product / root, weight_of(norm)
            missing = (wanted - g * normed) * g / (g.square() + 0.01 * g.square().mean())
            missing = missing - normed * (missing * normed).sum(-1, keepdim=True) / normed.square().sum(-1, keepdim=True)
            scaled, target = inputs / root, (product - bias) / root + missing
        a, t = rows(scaled, False), rows(target, False)
        gram = a.T @ a
        mean = gram.diagonal().mean()
        new = old + torch.linalg.solve(gram + ridge * mean * torch.eye(len(gram), dtype=gram.dtype), a.T @ t - gram @ old)
        error = lambda weight: (rows(wanted, True) - self.given(rows(inputs, True), weight, bias, norm)).square().sum()
        gain = (1 - error(new) / error(old)).item()
        name = f"{layer.name}.{layer.products[part]}.weight"
        self.found[name] = {"weight": new if turned else new.T, "gain": gain, "kept": gain > 0, "gram": gram, "turned": turned}
        if gain > 0:
            old = new
        module.weight.copy_(old if turned else old.T)
        if norm is not None:
            self.fit_norm(layer, part, norm, rows, wanted, lambda values: self.given(values, old, bias, norm, weighted=False), inputs)

    def given(self, inputs, weight, bias, norm, weighted=True):
        product = inputs @ weight + bias
        if norm is None:
            return product
        normed = product / (product.square().mean(-1, keepdim=True) + epsilon(norm)).sqrt()
        return normed * weight_of(norm) if weighted else normed

    def fit_norm(self, layer, part, norm, rows, wanted, normed, inputs):
        g = weight_of(norm)
        n, t = normed(rows(inputs, False)), rows(wanted, False)
        squares = n.square().sum(0)
        new = g + ((n * t).sum(0) - g * squares) / (squares + self.ridges["norm"] * squares.mean())
        n, t = normed(rows(inputs, True)), rows(wanted, True)
        gain = (1 - (t - n * new).square().sum() / (t - n * g).square().sum()).item()
        self.found[f"{layer.name}.{layer.norms[part]}.weight"] = {"weight": new - offset(norm), "gain": gain, "kept": gain > 0}
        if gain > 0:
            norm.weight.copy_(new - offset(norm))

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
        replaced = self.layers[-1].module.register_forward_hook(lambda _, __, output: (x[self.count:],) + output[1:]
                                                                if isinstance(output, tuple) else x[self.count:])
        try:
            logits = self.model(ids, use_cache=False).logits[:, half:-1]
        finally:
            replaced.remove()
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, half + 1:].flatten()).item()

    @torch.no_grad()
    def run(self):
        """The fitted weights by the names that they have before the cut, each with its gain, and whether they are kept."""
        x = plain = self.start
        inputs, behind = [x], []  # X and Y
        for layer in self.layers:
            output, given = layer.run(inputs[-1])
            behind.append(inputs[-1] + layer.gives("attention", given["attention"]))
            inputs.append(output)
        self.whole = self.loss(inputs[-1])
        kept = [layer for layer in range(len(self.layers)) if layer not in self.dropped]
        shares = self.shares(kept)
        for index, number in enumerate(kept):
            layer, after = self.layers[number], number != index
            start, end, middle, share = shares.get(number, (0, 0, 0, 0))
            way = inputs[end] - inputs[start]
            refits = self.method == "refit" and (after or number in shares)
            plain = layer.run(plain)[0]
            if refits:
                heads = layer.run(x)[1]["attention"]
                self.fit(layer, "attention", heads, behind[number] + middle * way - x, self.ridges["attention"])
            if refits or number in shares:
                given = layer.run(x)[1]
                y = x + layer.gives("attention", given["attention"])
                self.fit(layer, "mlp", given["mlp"], inputs[number + 1] + share * way - y,
                         self.ridges["gap" if number in shares else "mlp"])
            x = layer.run(x)[0]
        self.cut, self.healed = self.loss(plain), self.loss(x)
        if self.healed >= self.cut:
            for change in self.found.values():
                change["kept"] = False
        return self.found


def epsilon(norm):
    return getattr(norm, "variance_epsilon", getattr(norm, "eps", None))


def offset(norm):
    """What a norm adds to its stored weight."""
    return 1 if type(norm).__name__.startswith("Gemma") else 0


def weight_of(norm):
    return norm.weight + offset(norm)
