internal import Checkpoints
internal import Formats

/// A model whose output matrix is its embedding; they are untied when an adapter changes only one of the two.
struct TiedOutput {
    /// The name of the embedding.
    let embedding: String
    /// The name that the output matrix would have as a tensor of its own.
    let output: String

    /// The names of the two; `nil` when the output matrix is stored, or no embedding is known.
    init?(_ checkpoint: Checkpoint) {
        guard let names = EmbeddingNames(checkpoint), names.isTied else { return nil }
        (embedding, output) = (names.embedding, names.output)
    }

    /// Stores the output matrix as a tensor of its own, with the values of the embedding.
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
