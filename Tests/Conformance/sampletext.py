"""Text that is hard on a tokenizer: the corpora, and seeded random Unicode."""

import random
import unicodedata

from tools import CACHE, CALIBRATION, EVALUATION

# The texts that llama.cpp tests its own tokenizers with, each in one file beside a vocabulary.
SEPARATOR = "\n__ggml_vocab_test__\n"
KNOWN = CACHE / "llama.cpp" / "models" / "ggml-vocab-llama-bpe.gguf.inp"

SCRIPTS = [
    (0x0041, 0x007A), (0x00C0, 0x024F), (0x0370, 0x03FF), (0x0400, 0x04FF), (0x0531, 0x058F),
    (0x05D0, 0x05EA), (0x0600, 0x06FF), (0x0900, 0x097F), (0x0E01, 0x0E5B), (0x10A0, 0x10FF),
    (0x1100, 0x11FF), (0x1E00, 0x1FFF), (0x2000, 0x206F), (0x2070, 0x218B), (0x2190, 0x23FF),
    (0x2C00, 0x2DFF), (0x3040, 0x30FF), (0x4E00, 0x9FFF), (0xA960, 0xA97C), (0xAC00, 0xD7A3),
    (0xF900, 0xFAD9), (0xFE00, 0xFFEF), (0x10330, 0x1034A), (0x1D400, 0x1D7FF), (0x20000, 0x2A6DD)]
MARKS = [chr(c) for c in (
    *range(0x0300, 0x0370), 0x05B0, 0x064B, 0x093C, 0x0E31, 0x20DD, 0x3099, 0xFE0F)]
DIGITS = "0123456789" * 4 + "٠١٢٣٤५६७८९０１２²³¼½ⅣⅫ①⑩𝟘𝟙〇"
SPACES = " " * 12 + "\n\n\n\t\r\r\n\v\f\u0085\u00a0\u1680\u2003\u2009\u2028\u2029\u202f\u3000\u200b\ufeff"
CONTRACTIONS = [
    "'s", "'S", "'t", "'T", "'re", "'RE", "'ve", "'Ve", "'m", "'ll", "'lL", "'d", "'D", "’s", "'x", "''s", "'ſ",
    "I'll", "DON'T", "we've"]
EMOJI = ["🚀", "😶\u200d🌫️", "👩\u200d👩\u200d👧", "🇩🇪", "👍🏽", "✅", "☎️", "🦙", "1️⃣"]
PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~…–—«»„“”¿¡·。、！？"
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _letter(random):
    """An assigned character of one of the scripts, no surrogate, no private use."""
    while True:
        character = chr(random.randint(*random.choice(SCRIPTS)))
        if unicodedata.category(character) not in ("Cn", "Cs", "Co"):
            return character


def _word(random):
    first, last = random.choice(SCRIPTS)
    letters = (chr(random.randint(first, last)) for _ in range(random.randint(1, 9)))
    return "".join(c for c in letters if unicodedata.category(c) not in ("Cn", "Cs", "Co"))


def random_text(pieces, seed):
    """Pieces of all kinds in a row, the same for the same seed."""
    source = random.Random(seed)
    many = lambda alphabet, most: "".join(source.choice(alphabet) for _ in range(source.randint(1, most)))
    kinds = [
        lambda: _word(source),
        lambda: _letter(source),
        lambda: many(LETTERS, 8),
        lambda: many(DIGITS, 7),
        lambda: many(SPACES, 6),
        lambda: source.choice(" \n") * source.randint(1, 5),
        lambda: source.choice(CONTRACTIONS),
        lambda: source.choice(EMOJI),
        lambda: many(LETTERS, 2) + many(MARKS, 3),
        lambda: many(PUNCTUATION, 4),
        lambda: " " + many(LETTERS, 6),
        lambda: chr(source.randint(0, 0x2FF)),
    ]
    return "".join(source.choice(kinds)() for _ in range(pieces))


def texts(special=()):
    """Name and text of every sample. `special` are tokens that stand in the last one as text."""
    read = lambda path: path.read_bytes().decode("utf-8")
    yield "calibration", read(CALIBRATION)
    yield "evaluation", read(EVALUATION)
    yield "llama.cpp's own", read(KNOWN)
    for seed in (1, 2, 3):
        yield f"random {seed}", random_text(20000, seed)
    mixed = random.Random(4)
    yield "special tokens", "".join(
        random_text(6, 100 + i) + (mixed.choice(special) if special else "") for i in range(400))
