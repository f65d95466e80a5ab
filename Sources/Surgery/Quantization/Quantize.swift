public import Checkpoints
public import Formats

/// Quantizes a GGUF checkpoint with a mixture: each tensor gets the type that llama-quantize chooses.
public struct Quantize: Edit {
    /// What decides the types, and how values are rounded to them.
    public struct Settings: Sendable {
        /// The mixture.
        public var mixture: Mixture
        /// Types by name, which go before the rules of the mixture; the first whose pattern is found counts.
        public var byName: [TypeByName] = []
        /// The type of the output matrix, or of the embedding that serves as one.
        public var output: DType?
        /// The type of the embedding.
        public var embedding: DType?
        /// Whether every tensor gets the base type of the mixture, without its rules.
        public var isPure = false
        /// Whether tensors that came before in the files count for the rules, and not those in the layers below: when the
        /// output has the input's shards, llama-quantize goes through them in that order.
        public var keepsFileOrder = false
        /// How much the columns of the weights matter; `nil` when all count the same.
        public var importance: Importance? { didSet { hasImportance = importance != nil } }
        /// Whether values are rounded by the importance of their columns: some mixtures then choose otherwise.
        public var hasImportance = false
        /// Whether weights may be NaN or infinite.
        public var allowsNonfinite = false
        /// Whether weights that are quantized already may be quantized again in another type.
        public var allowsRequantize = false

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
        try checkpoint.requireModel(allowsProjector: true)
        let mixture = settings.mixture
        guard checkpoint.form == .gguf else {
            if !mixture.base.isQuantized {
                guard settings.byName.isEmpty, settings.output == nil, settings.embedding == nil else {
                    throw CheckpointError(
                        file: checkpoint.path, "types of single tensors are chosen in GGUF only",
                        hint: "name the output x.gguf")
                }
                let result = try Cast(to: mixture.base, allowsNonfinite: settings.allowsNonfinite).apply(to: checkpoint)
                _ = try unmeasured(from: checkpoint, to: result)
                return result
            }
            throw CheckpointError(
                file: checkpoint.path, "\(mixture.name) is a GGUF type, which safetensors cannot hold",
                hint: "name the output x.gguf")
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

    /// A tensor that gets another type than the one that was chosen for it.
    public struct Fallback: Sendable, Equatable {
        /// The name of the tensor.
        public let tensor: String
        /// The name of the type that it should have.
        public let wanted: String
        /// The name of the type that it gets.
        public let used: String
    }

    /// The tensors whose rows the mixture's blocks do not divide, with the type that they get instead.
    ///
    /// - Throws: what `apply` throws when the types cannot be chosen.
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
