"""A small LLaVA with packed layers: transformers finds every weight of the tower, the projector and the layers."""

import pathlib

from tools import folder, resect

# Packed in four bits, the logits of random weights still follow the originals.
TYPES = (("W4A16", 0.9), ("NVFP4", 0.9), ("NF4", 0.9))


def check(checks):
    import torch
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration
    torch.manual_seed(0)
    vision = CLIPVisionConfig(hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
                              image_size=32, patch_size=8, projection_dim=64)
    text = LlamaConfig(hidden_size=128, intermediate_size=256, num_hidden_layers=6, num_attention_heads=4,
                       num_key_value_heads=2, vocab_size=512, max_position_embeddings=128)
    model = LlavaForConditionalGeneration(LlavaConfig(vision_config=vision, text_config=text, image_token_id=511))
    ids = torch.arange(3, 60).reshape(1, -1)
    with folder() as work, torch.no_grad():
        source = pathlib.Path(work) / "source"
        model.to(torch.bfloat16).save_pretrained(source)
        plain = model(input_ids=ids).logits.float().flatten()
        for kind, least in TYPES:
            quantized = pathlib.Path(work) / kind
            resect("quantize", source, "-o", quantized, "--type", kind, "--no-sync")
            found, info = LlavaForConditionalGeneration.from_pretrained(quantized, output_loading_info=True)
            checks.equal(f"forms llava {kind}: every weight is found", (
                f"{key}: {sorted(map(str, info[key]))[:2]}"
                for key in ("missing_keys", "unexpected_keys", "mismatched_keys") if info[key]))
            logits = found(input_ids=ids).logits.float().flatten()
            correlation = torch.corrcoef(torch.stack([plain, logits]))[0, 1].item()
            checks.check(f"forms llava {kind}: logits follow the originals", correlation > least, f"{correlation:.4f}")
