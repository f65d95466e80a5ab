public import Checkpoints
public import Formats

/// Quantizes a GGUF checkpoint with a mixture: each tensor gets the type that llama-quantize chooses.
public struct Quantize: Edit {
    /// The settings that decide the types and the rounding.
    public struct Settings: Sendable {
        /// The mixture.
        public var mixture: Mixture
        /// Types by tensor name, which override the mixture's rules; the first match wins.
        public var byName: [TypeByName] = []
        /// The type of the output matrix, or of the tied embedding.
        public var output: DType?
        /// The type of the embedding.
        public var embedding: DType?
        /// Whether every tensor gets the base type of the mixture.
        public var isPure = false
        /// Whether rules that count tensors use the order of the input's files instead of the layer order, as
        /// llama-quantize does when the output keeps the input's shards.
        public var keepsFileOrder = false
        /// The importance of the columns; `nil` when all columns have equal weight.
        public var importance: Importance? { didSet { hasImportance = importance != nil } }
        /// Whether rounding uses column importance, which changes the types in some mixtures.
        public var hasImportance = false
        /// Whether weights may be NaN or infinite.
        public var allowsNonfinite = false
        /// Whether already quantized weights may be quantized to another type.
        public var allowsRequantize = false

        /// A mixture with default settings.
        public init(_ mixture: Mixture) { self.mixture = mixture }
    }

    /// The settings.
    public let settings: Settings

    /// An edit with settings.
    public init(_ settings: Settings) { self.settings = settings }

    /// An edit with a mixture.
    public init(_ mixture: Mixture) { self.init(Settings(mixture)) }

    /// The checkpoint with quantized weights.
    public func apply(to checkpoint: Checkpoint) throws(CheckpointError) -> Checkpoint {
        try checkpoint.requireModel(allowsProjector: true)
        let mixture = settings.mixture
        guard checkpoint.form == .gguf else {
            if !mixture.base.isQuantized {
                guard settings.byName.isEmpty, settings.output == nil, settings.embedding == nil else {
                    throw CheckpointError(
                        file: checkpoint.path, "types of single tensors can be chosen in GGUF only",
                        hint: "use a .gguf output, or --format gguf")
                }
                let result = try Cast(to: mixture.base, allowsNonfinite: settings.allowsNonfinite).apply(to: checkpoint)
                _ = try unmeasured(from: checkpoint, to: result)
                return result
            }
            throw CheckpointError(
                file: checkpoint.path, "\(mixture.name) is a GGUF type, which a folder cannot store",
                hint: "use a .gguf output, or --format gguf")
        }
        var result = checkpoint
        for (index, choice) in try TypeChoice(settings, checkpoint).choices.enumerated() {
            guard let choice else { continue }
            result.tensors[index] = try recoded(checkpoint.tensors[index], as: choice.used, file: checkpoint.path)
        }
        result.metadata["general.quantization_version"] = .u32(2)
        result.metadata["general.file_type"] = .u32(mixture.fileType)
        _ = try unmeasured(from: checkpoint, to: result)
        settings.importance?.record(in: &result)
        return result
    }

    /// A tensor that gets a substitute for the chosen type.
    public struct Fallback: Sendable, Equatable {
        /// The name of the tensor.
        public let tensor: String
        /// The name of the chosen type.
        public let wanted: String
        /// The name of the type that it gets instead.
        public let used: String
    }

    /// The tensors whose row length is not a multiple of the block size, with the type that they get instead.
    ///
    /// - Throws: the error of `apply` when types cannot be chosen.
    public func fallbacks(
        in checkpoint: Checkpoint
    ) throws(CheckpointError) -> [Fallback] {
        guard checkpoint.form == .gguf else { return [] }
        return zip(checkpoint.tensors, try TypeChoice(settings, checkpoint).choices).compactMap { tensor, choice in
            guard let choice, choice.wanted != choice.used else { return nil }
            return Fallback(tensor: tensor.name, wanted: choice.wanted.name, used: choice.used.name)
        }
    }
}
