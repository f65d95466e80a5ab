"""What `cut` does wrong today, by model: the blocks, and the cause. The part `classes` fails when an entry is not true any more."""

WRONG = {
    "BeamForCausalLM": ("1:2 2:4 3:6", "the residual's scale depends on the layer's number"),
    "DiffLlamaForCausalLM": ("1:2 2:4 3:6", "lambda_init depends on the layer's number"),
    "Inkling2LoopForCausalLM": ("2:4", "loop_layer_index_end does not follow"),
    "xLSTMForCausalLM": ("1:2 2:4 3:6", "num_blocks does not follow"),
    "MistralLarge4ForConditionalGeneration": ("1:2 2:4 3:6", "the layer numbers in kv_source_layers do not follow"),
}
