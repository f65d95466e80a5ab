internal import Checkpoints
internal import Formats

/// What the names of modules in mlx-lm mean, and for which models its weights differ from those in files.
enum MLXNames {
    /// Modules that look up rows (embeddings), by the last component of their names.
    private static let embeddings: Set<String> = [
        "embed_tokens", "embed_tokens_per_layer", "embed_in", "word_embeddings", "tok_embeddings", "embedding",
        "embeddings", "embed", "wte", "wpe",
    ]
    /// Names of blocks that hold all experts of a layer.
    static let expertBlocks: Set<String> = ["switch_mlp", "switch_glu", "experts"]

    /// Whether a module is an embedding.
    static func isEmbedding(_ module: String) -> Bool {
        embeddings.contains(String(module.split(separator: ".").last ?? ""))
    }

    /// Families whose weights mlx-lm multiplies by a factor when it loads them, so that an adapter fits other weights
    /// than those in the file.
    private static let multiplied: Set<String> = ["falcon_h1"]
    /// Families whose output matrix mlx-lm normalizes.
    private static let normalizedOutputs: Set<String> = ["baichuan_m1", "bailing_moe", "bailing_moe_linear"]
    /// Families to whose norms mlx-lm adds 1.
    private static let shiftedNorms: Set<String> = [
        "qwen3_next", "qwen3_5", "qwen3_5_text", "qwen3_5_moe", "qwen3_5_moe_text", "step3p5",
    ]

    /// Refuses an adapter for weights that mlx-lm changes when it loads them, so that they differ from the base's.
    static func checkWeights(of base: Checkpoint, for adapter: Adapter) throws(CheckpointError) {
        // A model that mlx-lm saved has weights that it does not change any more.
        guard base.headerMetadata?["format"] != .string("mlx") else { return }
        let types = [base.config?["model_type"]?.string, base.config?["text_config"]?["model_type"]?.string]
        func isOne(of families: Set<String>) -> Bool { types.contains { $0.map(families.contains) ?? false } }
        let outputs = ModuleKinds.known.outputs
        let pairs = adapter.pairs.map { (module: $0.module, tensor: $0.a) }
        let wholes = adapter.wholes.map { whole in
            (
                module: String(whole.name[..<(whole.name.lastIndex(of: ".") ?? whole.name.endIndex)]),
                tensor: whole.values
            )
        }
        let found = (pairs + wholes).first { (module, _) in
            isOne(of: multiplied) || isOne(of: normalizedOutputs) && ModuleKinds.isNamed(module, outputs)
                || isOne(of: shiftedNorms) && module.hasSuffix("norm")
        }
        guard let found else { return }
        throw CheckpointError(
            file: adapter.path, tensor: found.tensor.name,
            "is for \(found.module) as mlx-lm changes it when it loads \(base.path)",
            hint: "convert the base with mlx_lm.convert first; its weights are those of the training")
    }
}
