package import Checkpoints
internal import Formats
internal import Kernels
internal import Weights

/// A checkpoint that can be run: its plan, and its tensors by role.
package struct DecoderModel: Sendable {
    /// The checkpoint, which may be an unwritten cut.
    package let checkpoint: Checkpoint
    /// What it computes.
    package let plan: ModelPlan
    /// Rows of the embedding.
    package let vocabularyCount: Int
    let embedding: Tensor
    let outputNorm: Norm
    /// What makes logits: a matrix of its own, or the embedding.
    let output: Linear
    var layers: [Layer]
    /// The sizes of the largest layer.
    let shape: LayerShape
    let rotary: Rotary

    /// The operations of one layer, with their tensors.
    struct Layer: Sendable {
        let attentionNorm: Norm
        let query, key, value, attentionOutput: Linear
        let attention: AttentionShape
        let feedForwardNorm: Norm
        let feedForward: FeedForward
    }

    /// Finds and checks every tensor that a forward pass needs.
    ///
    /// - Throws: when resect does not know the architecture, or a tensor is missing or has another shape.
    package init(_ checkpoint: Checkpoint) throws(CheckpointError) {
        try checkpoint.requireModel()
        guard let architecture = checkpoint.architecture else {
            if checkpoint.form == .safetensors {
                throw CheckpointError(
                    file: checkpoint.path, "has tensors without a configuration",
                    hint: "give the HF folder that contains it")
            }
            throw checkpoint.unknownArchitecture(
                "so it cannot be run", hint: "inspect, cut --layers and quantize still work")
        }
        let plan = try ModelPlan(checkpoint)
        guard !plan.layers.isEmpty else { throw CheckpointError(file: checkpoint.path, "has no layers") }
        let finder = DecoderTensors(checkpoint, Settings(checkpoint, architecture))
        func norm(_ role: String, _ layer: Int?, _ plan: NormPlan) throws(CheckpointError) -> Norm {
            Norm(weight: try finder.required(role, layer), epsilon: plan.epsilon)
        }
        embedding = try finder.required("token_embedding")
        vocabularyCount = embedding.rowCount
        outputNorm = try norm("output_norm", nil, plan.outputNorm)
        // A matrix in the file overrides tied embeddings in the configuration, as in transformers and llama.cpp.
        output = Linear(try finder.optional("output") ?? embedding)
        var layers: [Layer] = []
        for (number, layer) in plan.layers.enumerated() {
            layers.append(
                Layer(
                    attentionNorm: try norm("attention_norm", number, layer.norm),
                    query: try finder.linear(.query, number), key: try finder.linear(.key, number),
                    value: try finder.linear(.value, number),
                    attentionOutput: try finder.linear(.attentionOutput, number),
                    attention: AttentionShape(layer.attention),
                    feedForwardNorm: try norm("ffn_norm", number, layer.norm),
                    feedForward: FeedForward(
                        gate: try finder.linear(.gate, number), up: try finder.linear(.up, number),
                        down: try finder.linear(.down, number))))
        }
        self.layers = layers
        self.checkpoint = checkpoint
        self.plan = plan
        shape = LayerShape(plan)
        rotary = Rotary(
            frequencies: try plan.rotary?.angles(contextLength: 1, file: checkpoint.path).frequencies ?? [],
            interleaves: plan.rotary?.pairs == .neighbours)
    }
}

/// Finds the tensors of a model by role, in the shapes that its settings ask for and of types that can be decoded.
private struct DecoderTensors {
    private let checkpoint: Checkpoint
    private let settings: Settings
    private let architecture: Architecture
    private let finder: RoleFinder

    init(_ checkpoint: Checkpoint, _ settings: Settings) {
        self.checkpoint = checkpoint
        self.settings = settings
        architecture = settings.architecture
        finder = RoleFinder(checkpoint, settings)
    }

    func required(_ role: String, _ layer: Int? = nil) throws(CheckpointError) -> Tensor {
        guard let tensor = try optional(role, layer) else {
            let part = architecture.tensor(role: role).flatMap(checkpoint.part)
            throw CheckpointError(
                file: checkpoint.path, tensor: part?.name(layer: layer) ?? role, "is missing as an unquantized weight")
        }
        return tensor
    }

    func optional(_ role: String, _ layer: Int? = nil) throws(CheckpointError) -> Tensor? {
        guard let role = architecture.tensor(role: role), let part = checkpoint.part(of: role),
            let stored = try finder.find(role, layer: layer)
        else { return nil }
        // Rotary pairs keep their stored order; the plan states how to rotate them.
        let tensor = part.dims.isEmpty ? stored : try settings.role(part, of: stored, file: checkpoint.path)
        guard Codec.decodes(tensor.dtype) else {
            throw CheckpointError(
                file: checkpoint.path, tensor: tensor.name, "has the type \(tensor.dtype), which cannot be decoded")
        }
        return tensor
    }

    /// A matrix, and its bias where the model has one.
    func linear(_ role: ProductRole, _ layer: Int) throws(CheckpointError) -> Linear {
        Linear(try required(role.rawValue, layer), bias: try optional(role.rawValue + "_bias", layer))
    }
}
