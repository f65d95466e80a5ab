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
    /// Learned positions, [positions, hidden]; `nil` without any.
    let positions: Tensor?
    /// How many learned positions there are; `nil` without any.
    package var positionCount: Int? { positions?.rowCount }
    let outputNorm: Norm
    /// The output matrix (LM head): a tensor of its own, or the tied embedding.
    let output: Linear
    var layers: [Layer]
    /// The sizes of the largest layer.
    let shape: LayerShape
    let rotary: Rotary

    /// The operations of one layer, with their tensors.
    struct Layer: Sendable {
        let plan: LayerPlan
        let attentionNorm: Norm?
        var attentionPostNorm: Norm?
        var query, key, value, attentionOutput: Linear
        let queryNorm, keyNorm: HeadNorm?
        let attention: AttentionShape
        let feedForwardNorm: Norm?
        var feedForwardPostNorm: Norm?
        var feedForward: MLP

        /// The MLP of a layer.
        enum MLP: Sendable {
            case dense(FeedForward)
            case experts(Experts)
        }

        /// The MLP, unless the layer has experts.
        var dense: FeedForward? { if case .dense(let feedForward) = feedForward { feedForward } else { nil } }
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
        let tensors = DecoderTensors(checkpoint, Settings(checkpoint, architecture))
        embedding = try tensors.required("token_embedding")
        positions = try tensors.optional("position_embedding")
        vocabularyCount = embedding.rowCount
        outputNorm = try tensors.norm("output_norm", nil, plan.outputNorm, width: plan.hidden)
        // A matrix in the file overrides tied embeddings in the configuration, as in transformers and llama.cpp.
        output = Linear(try tensors.optional("output") ?? embedding, bias: try tensors.optional("output_bias"))
        let layers = try plan.layers.enumerated().map { (number, layer) throws(CheckpointError) in
            try tensors.layer(number, layer, hidden: plan.hidden)
        }
        self.layers = layers
        self.checkpoint = checkpoint
        self.plan = plan
        shape = LayerShape(plan)
        rotary = Rotary(plan)
    }
}
