internal import Checkpoints
internal import Formats

/// The names of a model's embedding and of its output matrix.
struct EmbeddingNames {
    /// The name of the embedding.
    let embedding: String
    /// The name of the output matrix, whether it is stored or not.
    let output: String
    /// Whether the embedding is the output matrix too, so that none is stored.
    let isTied: Bool

    /// How families name their embedding, in folders and in GGUF.
    static let embeddings = ["embed_tokens", "wte", "embed_in", "word_embeddings", "token_embd"]

    /// Finds the embedding; `nil` where no tensor has one of the known names.
    init?(_ checkpoint: Checkpoint) {
        func name(_ role: String) -> String? {
            let tensor = checkpoint.architecture?.tensor(role: role)
            return (checkpoint.form == .gguf ? tensor?.gguf : tensor?.huggingFace)?.name(layer: nil)
        }
        let usual = checkpoint.form == .gguf ? "output.weight" : ModuleKinds.known.outputs[0] + ".weight"
        output = name("output") ?? usual
        isTied = checkpoint.tensor(named: output) == nil
        let known = name("token_embedding").flatMap { checkpoint.tensor(named: $0)?.name }
        let found =
            known
            ?? checkpoint.tensors.lazy.map(\.name).first { name in
                name.hasSuffix(".weight")
                    && ModuleKinds.isNamed(String(name.dropLast(".weight".count)), EmbeddingNames.embeddings)
            }
        guard let found else { return nil }
        embedding = found
    }
}
