internal import Checkpoints
internal import Kernels
internal import Weights

/// Where the gradients of a layer's adapters are added up.
struct LayerGradients: Sendable {
    /// One for each product that has an adapter.
    let sums: [ProductRole: AdapterGradient]

    /// No adapter.
    static let none = LayerGradients(sums: [:])

    /// Whether a product of attention has an adapter.
    var hasAttention: Bool {
        let roles: [ProductRole] = [.query, .key, .value, .attentionOutput]
        return roles.contains { sums[$0] != nil }
    }

    /// Adds the gradients of one product's adapter, if it has one.
    func add(
        _ role: ProductRole, _ linear: Linear, _ gradient: UnsafePointer<Float>, _ operand: MatrixOperand,
        _ buffers: LinearBuffers
    ) throws(CheckpointError) {
        guard let sum = sums[role] else { return }
        try linear.addAdapterGradient(gradient, operand: operand, to: sum, buffers: buffers)
    }
}

/// The work buffers of a layer's backward pass. Gradients are those of the loss with respect to what is named.
struct BackwardBuffers: Sendable {
    /// The gradient of the normed stream, [tokens, hidden].
    let normed: Scratch
    /// `act(gate) * up`, and its gradient in `inner`, [tokens, feedForward].
    let product, inner: Scratch
    /// Gradients of the outputs of the attention heads, and of queries, keys and values, each [tokens, columns].
    let mixed, query, key, value: Scratch
    /// Queries, keys or values before norms and clamps, [tokens, columns]; empty where the model has neither.
    let raw: Scratch
    /// Gradients of the output of attention or the MLP, and of the stream that an MLP in parallel with attention reads,
    /// [tokens, hidden]; empty where the model does not need them.
    let added, side: Scratch
    let experts: ExpertGradients?
    let attention: AttentionBackwardBuffers
    /// Tables of the opposite angles: the backward pass of rotations.
    let rotaryTables: RotaryTables

    init(_ batch: LayerBatch) {
        let (shape, contexts, contextLength) = (batch.shape, batch.contexts, batch.contextLength)
        let tokens = contexts * contextLength
        normed = Scratch(floats: tokens * shape.hidden)
        product = Scratch(floats: tokens * shape.feedForward)
        inner = Scratch(floats: tokens * shape.feedForward)
        mixed = Scratch(floats: tokens * shape.queryWidth)
        query = Scratch(floats: tokens * shape.queryWidth)
        key = Scratch(floats: tokens * shape.keyWidth)
        value = Scratch(floats: tokens * shape.keyWidth)
        raw = Scratch(floats: shape.changesHeads ? tokens * shape.queryWidth : 0)
        added = Scratch(floats: shape.changesSums ? tokens * shape.hidden : 0)
        side = Scratch(floats: shape.isParallel ? tokens * shape.hidden : 0)
        experts =
            shape.experts > 0 ? ExpertGradients(tokens: tokens, hidden: shape.hidden, experts: shape.experts) : nil
        attention = AttentionBackwardBuffers(
            headSize: shape.headSize, contextLength: contextLength, threads: batch.threads)
        rotaryTables = batch.rotaryTables.opposite()
    }
}
