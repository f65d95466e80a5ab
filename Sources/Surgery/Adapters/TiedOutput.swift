internal import Checkpoints
internal import Formats

/// A model whose output matrix is its embedding, and what is done when an adapter changes only one of the two.
struct TiedOutput {
    /// The name of the embedding.
    let embedding: String
    /// The name that the output matrix has where it is stored.
    let output: String

    /// How families name their embedding and their output matrix, in folders and in GGUF.
    private static let embeddings = ["embed_tokens", "wte", "embed_in", "word_embeddings", "token_embd"]

    /// The embedding that is the output matrix too; `nil` where the output matrix is stored, or no embedding is known.
    init?(_ checkpoint: Checkpoint) {
        func name(_ role: String) -> String? {
            let tensor = checkpoint.architecture?.tensor(role: role)
            return (checkpoint.form == .gguf ? tensor?.gguf : tensor?.huggingFace)?.name(layer: nil)
        }
        let usual = checkpoint.form == .gguf ? "output.weight" : ModuleKinds.known.outputs[0] + ".weight"
        output = name("output") ?? usual
        guard checkpoint.tensor(named: output) == nil else { return nil }
        let known = name("token_embedding").flatMap { checkpoint.tensor(named: $0)?.name }
        let found =
            known
            ?? checkpoint.tensors.lazy.map(\.name).first { name in
                name.hasSuffix(".weight")
                    && ModuleKinds.isNamed(String(name.dropLast(".weight".count)), TiedOutput.embeddings)
            }
        guard let found else { return nil }
        embedding = found
    }

    /// Stores the output matrix apart from the embedding, as it is in the base.
    func untie(_ checkpoint: inout Checkpoint) {
        guard var tensor = checkpoint.tensor(named: embedding) else { return }
        tensor.name = output
        checkpoint.tensors.append(tensor)
        checkpoint.note(
            "the adapter changes the embedding or the output matrix alone, so \(output) is stored apart from \(embedding)"
        )
        guard var config = checkpoint.config else { return }
        let key = "tie_word_embeddings"
        if var text = config["text_config"]?.object, text[key] != nil {
            text[key] = .bool(false)
            config["text_config"] = .object(text)
        }
        config[key] = .bool(false)
        checkpoint.config = config
    }
}
