internal import Checkpoints
internal import Formats

/// A model before and after a training, as pairs of tensors: weights are dequantized and have Hugging Face's names.
struct ComparedModels: Sendable {
    /// The model before.
    let base: Checkpoint
    /// The model after.
    let tuned: Checkpoint
    /// The tensors of both, in the order of the base.
    let pairs: [TensorPair]
    /// Differences that an adapter cannot express, one line each.
    let notes: [String]

    /// Members of config.json that do not change what is computed.
    private static let freeMembers: Set<String> = [
        "_name_or_path", "transformers_version", "dtype", "torch_dtype", "use_cache", "architectures",
        "quantization_config", "eos_token_id", "bos_token_id", "pad_token_id",
    ]

    /// Pairs two models.
    ///
    /// - Throws: when they are of different architectures, or a tensor has no counterpart of its shape.
    init(_ base: Checkpoint, _ tuned: Checkpoint) throws(CheckpointError) {
        self.base = try ComparedModels.plain(base)
        self.tuned = try ComparedModels.plain(tuned)
        if let before = self.base.architectureName, let after = self.tuned.architectureName, before != after {
            throw CheckpointError(
                file: tuned.path, "is \(after), and \(base.path) is \(before)",
                hint: "an adapter is extracted from a model and the same model after a training")
        }
        let pairing = Pairing(
            try ComparedModels.withOutput(self.base, like: self.tuned),
            try ComparedModels.withOutput(self.tuned, like: self.base))
        for (alone, path, other) in [(pairing.onlyA, base.path, tuned.path), (pairing.onlyB, tuned.path, base.path)] {
            guard let first = alone.first else { continue }
            let rest = alone.count > 1 ? ", and \(counted(alone.count - 1, "other"))" : ""
            throw CheckpointError(
                file: other, "lacks the tensor '\(first.name)' of \(path)\(rest)",
                hint: "both have to be the same model, with no layer cut or renamed")
        }
        for pair in pairing.pairs where pair.a.shape != pair.b.shape {
            throw CheckpointError(
                file: tuned.path, tensor: pair.b.name, "is \(pair.b.shape), and \(pair.a.shape) in \(base.path)")
        }
        pairs = pairing.pairs
        notes = ComparedModels.notes(self.base, self.tuned)
    }

    /// The model with dequantized weights under Hugging Face's names.
    private static func plain(_ checkpoint: Checkpoint) throws(CheckpointError) -> Checkpoint {
        try checkpoint.requireModel()
        if checkpoint.form == .gguf { return try Convert(to: .folder, dtype: .f32).apply(to: checkpoint) }
        return try DequantizeFolder(to: .f32).apply(to: checkpoint)
    }

    /// The tensors of a model. If the other model stores the output matrix and this one ties it to the embedding, the
    /// result has it as a tensor too.
    private static func withOutput(
        _ checkpoint: Checkpoint, like other: Checkpoint
    ) throws(CheckpointError) -> [Tensor] {
        let name = other.outputModule + ".weight"
        guard checkpoint.tensor(named: name) == nil, other.tensor(named: name) != nil, checkpoint.isTied,
            var output = try checkpoint.embedding(LinearModules(checkpoint))
        else { return checkpoint.tensors }
        output.name = name
        return checkpoint.tensors + [output]
    }

    private static func notes(_ base: Checkpoint, _ tuned: Checkpoint) -> [String] {
        var notes: [String] = []
        if let before = base.config, let after = tuned.config {
            let keys = before.keys + after.keys.filter { before[$0] == nil }
            // A known setting may be spelled in two ways, so the plans of the layers are compared instead.
            let isSame = (try? ModelPlan(base)).map { plan in (try? ModelPlan(tuned)) == plan } ?? false
            let known = isSame ? Set(base.architecture?.settings.flatMap { $0.huggingFace.map { $0[0] } } ?? []) : []
            let different = keys.filter { key in
                !freeMembers.contains(key) && !known.contains(key)
                    && before[key]?.standard.compact != after[key]?.standard.compact
            }
            if !different.isEmpty {
                notes.append(
                    "config.json differs in \(different.joined(separator: ", ")), and an adapter changes no settings")
            }
        }
        let files = tuned.companions.filter { file in
            TokenizerFiles.isOne(file.name) && !base.companions.isEmpty
                && base.companion(file.name)?.contents != file.contents
        }
        if !files.isEmpty {
            notes.append(
                "\(tuned.path) has other tokenizer files than the base, and an adapter holds none: "
                    + files.map(\.name).joined(separator: ", "))
        }
        return notes
    }
}

extension Checkpoint {
    /// Whether the configuration says that the embedding is also the output matrix.
    fileprivate var isTied: Bool {
        (config?["tie_word_embeddings"] ?? config?["text_config"]?["tie_word_embeddings"])?.bool ?? true
    }

    /// The embedding: a matrix with a row for each token.
    func embedding(_ modules: LinearModules) -> Tensor? {
        if let found = tensors.first(where: { modules.kind(of: $0) == .embedding }) { return found }
        let rows = (config?["vocab_size"] ?? config?["text_config"]?["vocab_size"])?.int
        return tensors.first { $0.shape.count == 2 && $0.shape[0] == rows }
    }
}
