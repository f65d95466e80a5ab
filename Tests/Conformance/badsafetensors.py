"""Safetensors files, most of them wrong, from a seed: each differs from a right one in one or a few places."""

import json
import random

TYPES = {"F64": 64, "F32": 32, "F16": 16, "BF16": 16, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E5M2FNUZ": 8, "F8_E4M3FNUZ": 8,
         "F8_E8M0": 8, "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4, "C64": 64, "I8": 8, "I16": 16, "I32": 32, "I64": 64,
         "U8": 8, "U16": 16, "U32": 32, "U64": 64, "BOOL": 8}
NUMBERS = ("0", "1", "2", "3", "7", "8", "-1", "-0", "1.0", "1e0", "0.5", "00", "01", "1e", "1e400", "0e400", "-", "+1",
           str(2**31), str(2**32), str(2**62), str(2**63 - 1), str(2**63), str(2**64 - 1), str(2**64), "9" * 400,
           "null", "true", '"1"', "[]", "{}", "[1]")
VALUES = NUMBERS + ('"F32"', '"F31"', '"f32"', '"Q8_0"', '""', '"F\\u0033\\u0032"', "[0,0]", "[0,8,8]", "[0]",
                    '{"F32":null}', '["F32",[2],[0,8]]', '{"dtype":"F32"}', "nul", "'x'", "[1,]", "{,}", '{"a":1,"a":2}')
NAMES = ('"a"', '""', '"__metadata__"', '"\\u0000"', '"\\ud83d\\ude00"', '"\\ud800"', '"\\udc00x"', '"a\\/b"', '"\\q"', '"\\u12"',
         '"e\u0301"', '"\u00e9"', '"a\tb"', "'a'", "a", "1", '"dtype"', '"x"', '"\\ud800\\u0041"', '"' + "n" * 300 + '"')
BYTES = b'{}[]":,\\ \t\n\r\0\x1f\x7f\x80\xc0\xc3\xed\xff0123456789-.eEfnsu/'


def right(rng):
    """The members of a right header as text, and its data: (name, [(key, value)]) for each tensor."""
    members, offset = [], 0
    for number in range(rng.randrange(5)):
        kind = rng.choice(list(TYPES))
        shape = [rng.choice((0, 1, 2, 3, 4, 8)) for _ in range(rng.randrange(4))]
        bits = TYPES[kind]
        for size in shape:
            bits *= size
        if bits % 8:
            shape, bits = [8], 8 * TYPES[kind]
        end = offset + bits // 8
        members.append([json.dumps(f"layers.{number}.w"), [
            ["\"dtype\"", json.dumps(kind)], ["\"shape\"", json.dumps(shape)], ["\"data_offsets\"", f"[{offset}, {end}]"]]])
        offset = end
    rng.shuffle(members)
    if rng.random() < 0.4:
        pairs = ",".join(f'"k{i}": "v"' for i in range(rng.randrange(3)))
        members.insert(rng.randrange(len(members) + 1), ["\"__metadata__\"", "{%s}" % pairs])
    return members, bytes(offset)


def text(members, rng):
    """The members as JSON, with white space where it may stand."""
    space = lambda: rng.choice(("", "", "", " ", "\n", "\t", "\r")) if rng.random() < 0.3 else ""

    def value(v):
        return v if isinstance(v, str) else "{" + ",".join(
            f"{space()}{k}{space()}:{space()}{x}{space()}" for k, x in v) + "}"
    return space() + "{" + ",".join(f"{space()}{k}:{space()}{value(v)}" for k, v in members) + "}" + space()


def change_members(members, rng):
    """Changes one place of the structure."""
    tensors = [m for m in members if not isinstance(m[1], str)]
    what = rng.randrange(9)
    if what == 0 or not tensors:
        members.insert(rng.randrange(len(members) + 1), [rng.choice(NAMES), rng.choice(VALUES)])
        return
    member = rng.choice(tensors)
    field = rng.choice(member[1])
    if what == 1:
        member[0] = rng.choice(NAMES)
    elif what == 2:
        field[1] = rng.choice(VALUES)
    elif what == 3:
        member[1].remove(field)
    elif what == 4:
        member[1].append([rng.choice((field[0], "\"x\"", rng.choice(NAMES))), rng.choice(VALUES)])
    elif what == 5:
        members.append([member[0], [list(f) for f in member[1]]])
    elif what == 6:
        depth = rng.choice((3, 60, 124, 125, 126, 127, 128, 200))
        opening, closing = rng.choice((("[", "]"), ('{"a":', "}")))
        member[1].append(["\"x\"", opening * depth + ("1" if opening != "[" else "") + closing * depth])
    elif what == 7:
        numbers = field[1].strip("[]").split(",") if field[1].startswith("[") else []
        place = rng.randrange(len(numbers) + 1)
        numbers[place:place + rng.randrange(2)] = [rng.choice(NUMBERS)]
        field[1] = "[" + ",".join(numbers) + "]"
    else:
        member[1] = rng.choice(VALUES)


def change_bytes(data, rng):
    """Changes, removes or adds a byte."""
    place = rng.randrange(len(data) + 1)
    what = rng.randrange(3)
    return data[:place] + (bytes([rng.choice(BYTES)]) if what else b"") + data[place + (what != 1):]


def make(seed):
    """The bytes of one file."""
    rng = random.Random(seed)
    members, data = right(rng)
    for _ in range(rng.choice((0, 1, 1, 1, 2))):
        change_members(members, rng)
    header = text(members, rng).encode("utf-8", "surrogatepass")
    if rng.random() < 0.3:
        header = change_bytes(header, rng)
    length = len(header)
    if rng.random() < 0.1:
        length = rng.choice((0, 1, length - 1, length + 1, length + 8, 100_000_000, 100_000_001, 2**63, 2**64 - 1)) % 2**64
    if rng.random() < 0.1:
        data = data[:-1] if rng.random() < 0.5 else data + b"\0"
    file = length.to_bytes(8, "little") + header + data
    return file[:rng.randrange(len(file) + 1)] if rng.random() < 0.05 else file


def excepted(file):
    """Whether a file that the library reads is one of those that resect refuses on purpose: a name that stands twice, a
    tensor that is no object, a dtype that is no text, a dimension of 2^63 and more."""
    size = int.from_bytes(file[:8], "little")
    # Objects as lists of their pairs, so that what stands twice is seen.
    pairs = json.loads(file[8:8 + size], object_pairs_hook=list)
    header = dict(pairs)
    metadata = header.pop("__metadata__", None) or []
    if len(dict(pairs)) < len(pairs) or len(dict(metadata)) < len(metadata):
        return True
    for tensor in header.values():
        if not isinstance(tensor[0], tuple):
            return True
        fields = dict(tensor)
        if not isinstance(fields["dtype"], str) or any(size >= 2**63 for size in fields["shape"]):
            return True
    return False
