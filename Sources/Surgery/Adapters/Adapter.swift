public import Checkpoints
internal import Formats

/// A fine-tuning that is stored apart from its base: low-rank changes of weights, and tensors that were trained as a whole.
public struct Adapter: Sendable {
    /// A low-rank change of one weight.
    struct Pair: Sendable {
        /// The module whose weight, or one of whose parameters, is changed.
        let module: String
        /// How many adapters for other parameters of the same module PEFT has wrapped around this one.
        let depth: Int
        /// Whether the module is an embedding, whose rows are looked up.
        let isEmbedding: Bool
        /// [rank, inputs]; of an embedding [rank, rows]; of a stack of experts [experts, rank, inputs].
        let a: Tensor
        /// [outputs, rank]; of an embedding [columns, rank]; of a stack of experts [experts, outputs, rank].
        let b: Tensor
        /// The factor of their product.
        let scale: Float
        /// Whether B is multiplied by the scale, and rounded, before the product, as in mlx-lm.
        var scalesB = false
        /// The trained norms (DoRA), [outputs]; `nil` without them.
        let magnitude: Tensor?
        /// What is added to the bias of the module, [outputs]; `nil` when nothing is.
        let bias: Tensor?
    }

    /// A tensor that replaces one of the base.
    struct Whole: Sendable {
        /// Its name in the base.
        let name: String
        /// Whether its module has a low-rank change too, so that the tensor may be a mere copy of the base's.
        let isWrapped: Bool
        let values: Tensor
        /// Whether it was trained; PEFT also stores the embeddings of a base whose vocabulary was resized.
        var isTrained = true
    }

    /// How an adapter names what it changes.
    enum Naming: Sendable {
        /// As folders do.
        case folder
        /// As GGUF does, for an architecture.
        case gguf(architecture: String)
        /// As mlx-lm does, with one module for all experts of a layer.
        case mlx(MLXAdapterConfig)
    }

    /// The path that was opened.
    public let path: String
    let naming: Naming
    /// The base, as the training named it. It is never opened.
    public var baseName: String? { config.baseName }
    let config: AdapterConfig
    /// The changes, in the order of the file.
    let pairs: [Pair]
    /// Tensors that replace those of the base.
    let wholes: [Whole]
    /// New rows of embeddings, [rows, columns], by the name of the embedding.
    let tokens: [(module: String, values: Tensor)]
    /// The files from which its tensors are read.
    let sources: [MappedFile]
    /// The tokenizer beside it.
    private(set) var tokenizer: TokenizerFiles?

    private static let weightNames = ["adapter_model.safetensors", "adapter_model.bin"]

    /// An adapter of its parts.
    init(
        path: String, naming: Naming, config: AdapterConfig, pairs: [Pair], wholes: [Whole],
        tokens: [(module: String, values: Tensor)], sources: [MappedFile]
    ) {
        (self.path, self.naming, self.config, self.sources) = (path, naming, config, sources)
        (self.pairs, self.wholes, self.tokens) = (pairs, wholes, tokens)
    }

    /// Opens a folder that PEFT or mlx-lm saved, or a GGUF file of llama.cpp.
    ///
    /// - Parameters:
    ///   - path: a folder or a file.
    ///   - numbering: the layers that were cut from the base. An adapter that was trained before the cut loses them
    ///     too.
    /// - Throws: when the path is not an adapter or has another method than LoRA, when one matrix of a pair is missing,
    ///   when tensors do not fit their configuration, and for values that are NaN or infinite.
    public init(path: String, numbering: AdapterNumbering? = nil) throws(CheckpointError) {
        switch FileSystem.kind(of: path) {
        case .missing: throw CheckpointError(file: path, "does not exist")
        case .folder: break
        case .file, .other:
            let checkpoint = try Checkpoint.open(path)
            guard checkpoint.form == .gguf else {
                throw CheckpointError(
                    file: path, "is neither a folder nor a GGUF file",
                    hint: "a PEFT adapter is a folder with adapter_config.json")
            }
            try self.init(gguf: Adapter.numbered(checkpoint, by: numbering))
            return
        }
        let names = try FileSystem.names(in: path)
        guard names.contains("adapter_config.json") else {
            // A training saves its steps, and PEFT saves adapters with a name, in sub-folders.
            let inner = names.filter { FileSystem.kind(of: "\(path)/\($0)/adapter_config.json") == .file }
            throw CheckpointError(
                file: path, "has no adapter_config.json, which says what the adapter changes and by how much",
                hint: inner.isEmpty
                    ? "name the folder that PEFT or mlx-lm saved"
                    : "there are adapters in \(inner.joined(separator: ", "))")
        }
        let configPath = path + "/adapter_config.json"
        var settings = try FileSystem.json(FileSystem.contents(of: configPath, limit: 16 << 20), path: configPath)
        if names.contains(Adapter.mlxWeightName), settings["peft_type"] == nil {
            let stored = try Checkpoint.open(path + "/" + Adapter.mlxWeightName)
            let checkpoint = try Adapter.numbered(stored, by: numbering, &settings, configPath)
            try self.init(checkpoint, MLXAdapterConfig(settings, path: configPath), path: path)
            return
        }
        guard let weights = Adapter.weightNames.first(where: names.contains) else {
            let step = names.last { $0.hasSuffix("_" + Adapter.mlxWeightName) }
            throw CheckpointError(
                file: path,
                "has none of \((Adapter.weightNames + [Adapter.mlxWeightName]).joined(separator: ", "))",
                hint: step.map { "\($0) is of an earlier step; name it \(Adapter.mlxWeightName) to merge it" })
        }
        let stored = try Checkpoint.open(path + "/" + weights)
        let checkpoint = try Adapter.numbered(stored, by: numbering, &settings, configPath)
        try self.init(checkpoint, AdapterConfig(settings, path: configPath), path: path)
        tokenizer = try TokenizerFiles(in: path)
    }

    /// The tensors of an adapter, with the layer numbers that the base has.
    private static func numbered(
        _ checkpoint: Checkpoint, by numbering: AdapterNumbering?
    ) throws(CheckpointError) -> Checkpoint {
        guard let numbering, try numbering.kind(of: checkpoint) == .original else { return checkpoint }
        return try AdapterCut(layers: numbering.dropped).apply(to: checkpoint)
    }

    /// The tensors and the settings of an adapter, with the layer numbers that the base has.
    private static func numbered(
        _ checkpoint: Checkpoint, by numbering: AdapterNumbering?, _ settings: inout JSONObject, _ configPath: String
    ) throws(CheckpointError) -> Checkpoint {
        guard let numbering, try numbering.kind(of: checkpoint) == .original else { return checkpoint }
        let cut = AdapterCut(layers: numbering.dropped)
        settings = try cut.followed(settings, of: checkpoint, path: configPath)
        return try cut.apply(to: checkpoint)
    }
}
