public import Checkpoints
public import Formats

/// Stores the weights in a plain type: F32, F16 or BF16.
///
/// In GGUF, vectors and norms stay in F32, where its runtimes want them. Tensors of integers are left alone.
public struct Cast: Edit {
    /// The type of the weights.
    public let dtype: DType

    /// A cast to a plain type.
    public init(to dtype: DType) { self.dtype = dtype }

    /// The checkpoint with recoded weights.
    public func apply(to checkpoint: Checkpoint) throws(CheckpointError) -> Checkpoint {
        var result = checkpoint
        for (place, tensor) in checkpoint.tensors.enumerated() where Cast.isWeight(tensor) {
            let keepsF32 = checkpoint.form == .gguf && Cast.staysF32(tensor)
            result.tensors[place] = try tensor.recoded(as: keepsF32 ? .f32 : dtype, file: checkpoint.path)
        }
        if let mixture = Mixture.named(dtype.name), checkpoint.form == .gguf {
            result.metadata["general.file_type"] = .u32(mixture.fileType)
        }
        if var config = result.config {
            let name = ["F32": "float32", "F16": "float16", "BF16": "bfloat16"][dtype.name]
            for key in ["dtype", "torch_dtype"] where config[key] != nil {
                config[key] = name.map(JSON.string)
            }
            result.config = config
        }
        return result
    }

    /// Whether a tensor holds floating-point weights that a cast changes.
    static func isWeight(_ tensor: Tensor) -> Bool {
        tensor.dtype.isQuantized || ["F64", "F32", "F16", "BF16"].contains(tensor.dtype.name)
    }

    /// Vectors, norms, routers and whatever is not called weight: llama.cpp handles these in F32 only.
    static func staysF32(_ tensor: Tensor) -> Bool {
        tensor.shape.count <= 1 || !tensor.name.hasSuffix(".weight") || isLeft(tensor)
    }

    /// Whether llama-quantize leaves a tensor alone because of its name.
    static func isLeft(_ tensor: Tensor) -> Bool { left.contains(where: tensor.name.containsBytes) }

    /// Names that llama-quantize leaves alone: small tensors, and those that a runtime reads in another way.
    private static let left = [
        "_norm.weight", "ffn_gate_inp.weight", "ffn_gate_tid2eid.weight", "altup", "laurel",
        "per_layer_model_proj", "ssm_conv1d", "shortconv.conv.weight", "indexer.k_proj.weight",
        "indexer.q_proj.weight", "time_mix_first.weight", "time_mix_w0.weight",
        "time_mix_w1.weight", "time_mix_w2.weight", "time_mix_v0.weight", "time_mix_v1.weight",
        "time_mix_v2.weight", "time_mix_a0.weight", "time_mix_a1.weight", "time_mix_a2.weight",
        "time_mix_g1.weight", "time_mix_g2.weight", "time_mix_decay_w1.weight",
        "time_mix_decay_w2.weight", "time_mix_lerp_fused.weight", "attn_rel_b.weight",
        ".position_embd", ".rel_pos", ".patch_embd", ".patch_merger",
    ]
}
