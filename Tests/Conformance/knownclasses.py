"""What `cut` does wrong today, by model: the blocks, and the cause. The parts fail when an entry is not true any more."""

WRONG = {}

WRONG_GGUF = {}
