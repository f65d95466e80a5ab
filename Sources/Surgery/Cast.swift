public import Checkpoints
public import Formats

/// Stores the weights as F32, F16 or BF16.
///
/// In GGUF, vectors and norms stay in F32, as runtimes require. Indices and masks do not change.
public struct Cast: Edit {
    /// The target type.
    public let dtype: DType

    /// Whether finite values may overflow to infinity.
    public let allowsNonfinite: Bool

    /// A cast to F32, F16 or BF16.
    public init(to dtype: DType, allowsNonfinite: Bool = false) {
        self.dtype = dtype
        self.allowsNonfinite = allowsNonfinite
    }

    /// The checkpoint with cast weights.
    ///
    /// - Throws: when a weight is quantized: its elements are codes, which cannot be cast.
    public func apply(to checkpoint: Checkpoint) throws(CheckpointError) -> Checkpoint {
        try UnexplainedParts(checkpoint).refuse(format: nil)
        if checkpoint.form == .gguf, let tensor = checkpoint.tensors.first(where: Cast.isIntegerMatrix) {
            throw CheckpointError(
                file: checkpoint.path, tensor: tensor.name,
                "is \(tensor.dtype) \(tensor.shape), a matrix of integers, which cannot be cast to \(dtype)")
        }
        var result = checkpoint
        for (index, tensor) in checkpoint.tensors.enumerated() where Cast.isWeight(tensor) {
            let keepsF32 = checkpoint.form == .gguf && Cast.staysF32(tensor)
            result.tensors[index] = try tensor.recoded(
                as: keepsF32 ? .f32 : dtype, file: checkpoint.path, refusesNonfinite: !allowsNonfinite)
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

    /// Whether a tensor holds weights that a cast changes.
    static func isWeight(_ tensor: Tensor) -> Bool {
        tensor.dtype.isQuantized || ["F64", "F32", "F16", "BF16"].contains(tensor.dtype.name)
    }

    /// Whether a GGUF tensor is a matrix of integers other than I32, which holds indices.
    private static func isIntegerMatrix(_ tensor: Tensor) -> Bool {
        tensor.shape.count > 1 && tensor.dtype.isInteger && tensor.dtype.name != "I32"
    }

    /// Whether llama.cpp requires F32: vectors (also as a matrix of one row), norms, routers, and tensors not named `.weight`.
    static func staysF32(_ tensor: Tensor) -> Bool {
        tensor.shape.drop { $0 == 1 }.count <= 1 || !tensor.name.hasSuffix(".weight")
            || QuantizationExceptions.isKept(tensor.name, architecture: "")
    }
}
