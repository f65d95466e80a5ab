public import Checkpoints
public import Formats

/// Moves a checkpoint between HF folders, single safetensors files and GGUF: names, row orders, configuration,
/// vocabulary.
public struct Convert: Edit {
    /// The target container.
    public let form: Checkpoint.Form
    /// The type of the weights; `nil` keeps it, or uses BF16 when the container cannot hold it.
    public let dtype: DType?
    /// Keeps NVFP4 and MXFP4 codes as GGUF blocks. False when later edits need values.
    public let keepsBlocks: Bool
    /// Whether finite values may overflow to infinity.
    public let allowsNonfinite: Bool
    /// The form of config.json for a folder that is made from GGUF.
    public let configVersion: ConfigVersion

    /// A conversion.
    public init(
        to form: Checkpoint.Form, dtype: DType? = nil, keepsBlocks: Bool = false, allowsNonfinite: Bool = false,
        configVersion: ConfigVersion = .newest
    ) {
        self.form = form
        self.configVersion = configVersion
        self.dtype = dtype
        self.keepsBlocks = keepsBlocks
        self.allowsNonfinite = allowsNonfinite
    }

    /// The conversion before a quantization: to GGUF it gives f32 values, so that none is rounded twice.
    public static func beforeQuantization(of checkpoint: Checkpoint, to form: Checkpoint.Form) -> Convert {
        Convert(to: form, dtype: checkpoint.form == .folder && form == .gguf ? .f32 : nil)
    }

    /// The checkpoint in the target container.
    public func apply(to checkpoint: Checkpoint) throws(CheckpointError) -> Checkpoint {
        try checkpoint.requireModel(allowsProjector: form == .gguf)
        if checkpoint.form == .safetensors, form != .safetensors {
            throw CheckpointError(
                file: checkpoint.path, "has tensors without a configuration",
                hint: "give the HF folder that contains it")
        }
        let original = checkpoint
        var checkpoint = checkpoint
        // Without a target type, quantized weights stay as they are in the same container and as blocks in GGUF.
        if dtype != nil || (checkpoint.form == .gguf) != (form == .gguf) {
            checkpoint = try DequantizeFolder(to: dtype ?? (form == .gguf ? nil : .f32)).apply(to: checkpoint)
        }
        var result = checkpoint
        var dtype = dtype
        switch (checkpoint.form, form) {
        case (.folder, .folder), (.safetensors, _), (.gguf, .gguf): break
        case (.folder, .safetensors):
            guard try checkpoint.explainsItself() else {
                throw CheckpointError(
                    file: checkpoint.path,
                    "has quantized weights, and a single safetensors file cannot hold their settings",
                    hint: "choose a folder as the output, or dequantize with --dtype bf16")
            }
            result.container = .safetensors(header: checkpoint.headerMetadata)
        case (.folder, .gguf):
            result = try ConvertToGGUF(checkpoint).result()
            result.layerPrefix = nil
            if dtype == nil, keepsBlocks { return try result.withExactBlocks(else: Convert.commonType(checkpoint)) }
            dtype = dtype ?? Convert.commonType(checkpoint)
        case (.gguf, .folder), (.gguf, .safetensors):
            dtype = dtype ?? Convert.commonType(original)
            result = try ConvertToFolder(checkpoint, form: form, version: configVersion).result()
            result.layerPrefix = nil
        }
        guard let dtype else { return result }
        return try Cast(to: dtype, allowsNonfinite: allowsNonfinite).apply(to: result)
    }

    /// The type of most weights, F32, F16 or BF16; BF16 when they are quantized.
    private static func commonType(_ checkpoint: Checkpoint) -> DType {
        var counts: [DType: Int] = [:]
        for tensor in checkpoint.tensors where tensor.shape.count >= 2 {
            counts[tensor.dtype, default: 0] += tensor.count
        }
        let most = counts.max { ($0.value, $1.key.name) < ($1.value, $0.key.name) }?.key
        return most.flatMap { [.f32, .f16, .bf16].contains($0) ? $0 : nil } ?? .bf16
    }

    /// The architecture, whose names resect can translate.
    static func architecture(of checkpoint: Checkpoint) throws(CheckpointError) -> Architecture {
        guard let architecture = checkpoint.architecture else {
            throw checkpoint.unknownArchitecture("so its tensors cannot be renamed")
        }
        return architecture
    }
}
