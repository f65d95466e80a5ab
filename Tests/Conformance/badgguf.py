"""GGUF files, most of them wrong, from a seed: each differs from a right one in one or a few places."""

import random
import struct

import gguf

EDGES = (0, 1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 31, 32, 63, 64, 255, 256, 2**16, 2**30, 2**30 + 1, 2**31 - 1, 2**31, 2**32 - 1,
         2**32, 2**40, 2**58, 2**60, 2**61, 2**62, 2**63 - 1, 2**63, 2**64 - 64, 2**64 - 1)
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
SIZES = {int(kind): size for kind, size in gguf.GGML_QUANT_SIZES.items()}
NAMES = (b"general.alignment", b"general.architecture", b"general.alignment", b"k", b"k\0x", b"\xff", b"", b"blk.0.w",
         b"n" * 63, b"n" * 64, b"GGUF.version")


class File:
    """A file in the making, which knows where its numbers stand."""

    def __init__(self, order):
        self.data = bytearray()
        self.order = order
        self.numbers = []

    def number(self, form, value):
        self.numbers.append((len(self.data), form))
        self.data += struct.pack(self.order + form, value)

    def text(self, value):
        self.number("Q", len(value))
        self.data += value


def value(file, kind, rng):
    """A value of a type, with small numbers."""
    if kind == 8:
        file.text(rng.choice((b"", b"text", b"\xc3\xa9", b"a\0b")))
    elif kind == 9:
        element = rng.choice((*SCALARS, 8))
        count = rng.randrange(4)
        file.number("I", element)
        file.number("Q", count)
        for _ in range(count):
            value(file, element, rng)
    else:
        file.data += struct.pack(file.order + SCALARS[kind], rng.randrange(2))


def right(rng, order="<"):
    """A right file with a few pairs and tensors of any types."""
    file = File(order)
    alignment = rng.choice((32, 32, 32, 1, 8, 64, 256))
    pairs = [(b"general.architecture", 8, b"llama")]
    if alignment != 32:
        pairs.append((b"general.alignment", 4, alignment))
    pairs += [(b"k%d" % i, rng.choice((*SCALARS, 8, 9)), None) for i in range(rng.randrange(4))]
    tensors = []
    for number in range(rng.randrange(4)):
        kind = rng.choice(list(SIZES)) if rng.random() < 0.6 else 0
        block, size = SIZES[kind]
        sizes = [block * rng.choice((0, 1, 2)) if i == 0 else rng.choice((1, 1, 2, 3, 0))
                 for i in range(rng.randrange(5) or 1)]
        count = 1
        for n in sizes:
            count *= n
        tensors.append((b"blk.%d.w" % number, kind, sizes, count // block * size))
    file.data += b"GGUF"
    file.number("I", rng.choice((2, 3)))
    file.number("Q", len(tensors))
    file.number("Q", len(pairs))
    for key, kind, given in pairs:
        file.text(key)
        file.number("I", kind)
        if kind == 8 and given:
            file.text(given)
        elif given:
            file.number("I", given)
        else:
            value(file, kind, rng)
    offset = 0
    for name, kind, sizes, count in tensors:
        file.text(name)
        file.number("I", len(sizes))
        for n in sizes:
            file.number("Q", n)
        file.number("I", kind)
        file.number("Q", offset)
        offset += -(-count // alignment) * alignment
    if tensors:
        file.data += bytes(-len(file.data) % alignment)
        file.data += rng.randbytes(offset)
    return file


def make(seed):
    """The bytes of one file."""
    rng = random.Random(seed)
    file = right(rng)
    data = file.data
    for _ in range(rng.choice((0, 1, 1, 1, 2))):
        what = rng.randrange(8)
        if what < 4:
            place, form = rng.choice(file.numbers)
            size = struct.calcsize("<" + form)
            old = int.from_bytes(data[place:place + size], "little")
            new = rng.choice((*EDGES, old + 1, old - 1, old + 32, *range(13), *SIZES)) % 2**(8 * size)
            data[place:place + size] = new.to_bytes(size, "little")
        elif what < 6:
            data[rng.randrange(min(len(data), file.numbers[-1][0] + 8))] = rng.randrange(256)
        elif what == 6:
            # Another name of the same or another length, in place of one that stands there.
            for name in (b"k0", b"blk.1.w", b"blk.0.w", b"general.architecture"):
                place = data.find(name)
                if place > 0:
                    new = rng.choice(NAMES)
                    data[place - 8:place + len(name)] = len(new).to_bytes(8, "little") + new
                    break
        else:
            data = data[:rng.randrange(len(data) + 1)] if rng.random() < 0.5 else data + bytes(rng.randrange(1, 40))
    return bytes(data)
