public import Checkpoints
internal import Formats

/// Quantizes a GGUF checkpoint with a mixture: each tensor gets the type that llama-quantize chooses.
public struct Quantize: Edit {
    /// What decides the types, and how values are rounded to them.
    public struct Settings: Sendable {
        /// The mixture.
        public var mixture: Mixture
        /// Whether values are rounded by the importance of their columns: some mixtures then choose otherwise.
        public var hasImportance = false

        /// A mixture with nothing else asked for.
        public init(_ mixture: Mixture) { self.mixture = mixture }
    }

    /// What decides the types.
    public let settings: Settings

    /// A quantization.
    public init(_ settings: Settings) { self.settings = settings }

    /// A quantization with a mixture.
    public init(_ mixture: Mixture) { self.init(Settings(mixture)) }

    /// The checkpoint with quantized weights.
    public func apply(to checkpoint: Checkpoint) throws(CheckpointError) -> Checkpoint {
        let mixture = settings.mixture
        guard checkpoint.form == .gguf else {
            if !mixture.base.isQuantized { return try Cast(to: mixture.base).apply(to: checkpoint) }
            throw CheckpointError(
                file: checkpoint.path, "\(mixture.name) is a GGUF type, which safetensors cannot hold",
                hint: "name the output x.gguf")
        }
        var result = checkpoint
        for (place, choice) in TypeChoice(settings, checkpoint).choices.enumerated() {
            guard let choice else { continue }
            result.tensors[place] = try checkpoint.tensors[place].recoded(as: choice.used, file: checkpoint.path)
        }
        result.metadata["general.quantization_version"] = .u32(2)
        result.metadata["general.file_type"] = .u32(mixture.fileType)
        return result
    }

    /// The tensors whose rows the mixture's blocks do not divide, with the type that they get instead.
    public func fallbacks(in checkpoint: Checkpoint) -> [(tensor: String, wanted: String, used: String)] {
        guard checkpoint.form == .gguf else { return [] }
        return zip(checkpoint.tensors, TypeChoice(settings, checkpoint).choices).compactMap { tensor, choice in
            guard let choice, choice.wanted != choice.used else { return nil }
            return (tensor.name, choice.wanted.name, choice.used.name)
        }
    }
}
