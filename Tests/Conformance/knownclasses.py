"""What `cut` does wrong today, by model: the blocks, and the cause. The parts fail when an entry is not true any more."""

WRONG = {}

WRONG_GGUF = {
    "ApertusForCausalLM": ("1:2 2:4 3:6", "the arrays xielu.*, which have an entry for each layer, do not follow"),
    "MiniCPM3ForCausalLM": ("1:2 2:4 3:6", "llama.cpp divides by the root of block_count"),
}
