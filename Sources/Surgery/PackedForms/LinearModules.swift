internal import Checkpoints
internal import Formats

/// Which tensors of a folder are the weights of Linears, by their names and shapes.
struct LinearModules {
    private let pattern: LayerPattern?
    private let embedding: String?
    private let output: String?

    init(_ checkpoint: Checkpoint) {
        pattern = checkpoint.layerPattern
        func name(_ role: String) -> String? {
            checkpoint.architecture?.tensor(role: role)?.huggingFace?.name(layer: nil)
        }
        embedding = name("token_embedding")
        output = name("output")
    }

    /// The name of the module that makes logits.
    var outputModule: String { output.map { String($0.dropLast(".weight".count)) } ?? "lm_head" }

    /// What a matrix is to the forms.
    enum Kind {
        /// A Linear of a layer.
        case linear
        /// The embedding of tokens.
        case embedding
        /// The matrix that makes logits.
        case output
        /// A Linear that stays plain: a router, or something outside the layers.
        case other
    }

    /// What a tensor is; `nil` for what is no matrix.
    func kind(of tensor: Tensor) -> Kind? {
        guard tensor.shape.count == 2, tensor.count > 0, tensor.name.hasSuffix(".weight") else { return nil }
        if tensor.name == embedding || tensor.name.hasSuffix("embed_tokens.weight") { return .embedding }
        if tensor.name == output || tensor.name == "lm_head.weight" { return .output }
        guard pattern?.layer(of: tensor.name) != nil, !LinearModules.isSmall(tensor.name) else { return .other }
        return .linear
    }

    /// Routers, and the embeddings and norms of layers.
    private static func isSmall(_ name: String) -> Bool {
        let endings = [
            ".gate.weight", ".router.weight", ".router.layer.weight", ".router.classifier.weight", ".wg.weight",
            "shared_expert_gate.weight",
        ]
        return endings.contains(where: name.hasSuffix) || name.containsBytes(of: "norm")
            || name.containsBytes(of: "embed")
    }
}
