/// A quantized format of folders, as `--type` names it.
public enum FolderType: String, CaseIterable, Sendable {
    /// compressed-tensors, four bits.
    case w4a16 = "W4A16"
    /// bitsandbytes, four bits, quantiles of a normal distribution.
    case nf4 = "NF4"
    /// bitsandbytes, four bits, floats.
    case fp4 = "FP4"
    /// compressed-tensors, E2M1 in groups of 16.
    case nvfp4 = "NVFP4"
    /// compressed-tensors, E2M1 in groups of 32.
    case mxfp4 = "MXFP4"
    /// GPTQ, four bits.
    case gptq = "GPTQ"
    /// AWQ's gemm layout, four bits.
    case awq = "AWQ"
    /// MLX's affine format, four bits.
    case mlx4 = "MLX4"

    /// MLX's mode mxfp4.
    case mlxMXFP4 = "MLX-MXFP4"
    /// MLX's mode nvfp4.
    case mlxNVFP4 = "MLX-NVFP4"

    /// The format with this name, ignoring case.
    public init?(named name: String) {
        guard let found = FolderType.allCases.first(where: { $0.rawValue == name.uppercased() }) else { return nil }
        self = found
    }

    /// Whether mlx-lm reads it.
    var isMLX: Bool { [.mlx4, .mlxMXFP4, .mlxNVFP4].contains(self) }

    /// Whether embeddings and the output matrix are quantized too.
    var quantizesEmbeddings: Bool { isMLX }

    /// The group sizes that it can have; empty for a format with a single one.
    public var groupSizes: [Int] {
        switch self {
        case .w4a16, .gptq: [32, 64, 128, 256]
        case .awq, .mlx4: [32, 64, 128]
        default: []
        }
    }

    /// The block sizes that it can have; empty for a format without blocks.
    public var blockSizes: [Int] { self == .nf4 || self == .fp4 ? QuantState.blocks : [] }

    /// The default group size; `nil` for a format with a single one.
    var usualGroupSize: Int? {
        switch self {
        case .w4a16, .gptq, .awq: 128
        case .mlx4: 64
        default: nil
        }
    }
}
