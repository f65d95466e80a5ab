internal import Checkpoints
internal import Kernels
internal import Weights

/// The sizes that the memory of a layer depends on, each the largest of all layers.
struct LayerShape: Sendable, Equatable {
    /// Columns of the stream.
    let hidden: Int
    /// Columns of the queries.
    let queryWidth: Int
    /// Columns of the keys and of the values.
    let keyWidth: Int
    /// Elements of a head.
    let headSize: Int
    /// Columns inside the MLP.
    let feedForward: Int
    /// How many experts there are; 0 without any.
    let experts: Int
    /// Whether outputs of attention or the MLP are normed or scaled before they are added to the stream.
    let changesSums: Bool
    /// Whether queries or keys are normed or clamped.
    let changesHeads: Bool
    /// Whether any layer runs attention and the MLP in parallel.
    let isParallel: Bool

    /// The largest sizes of a plan.
    init(_ plan: ModelPlan) {
        func largest(_ size: (LayerPlan) -> Int) -> Int { plan.layers.reduce(0) { max($0, size($1)) } }
        hidden = plan.hidden
        queryWidth = largest(\.attention.queryWidth)
        keyWidth = largest(\.attention.keyWidth)
        headSize = largest(\.attention.headSize)
        feedForward = largest(\.feedForward.width)
        experts = largest { layer in if case .experts(let plan) = layer.feedForward { plan.count } else { 0 } }
        changesHeads = plan.layers.contains { $0.attention.queryKeyNorm != nil || $0.attention.clip != nil }
        isParallel = plan.layers.contains { $0.parallel != nil }
        changesSums = plan.layers.contains { $0.hasNormsAfter || $0.residualScale != 1 }
    }

    /// Columns of the widest operand of a product.
    var widest: Int { max(hidden, queryWidth, feedForward) }

    /// Bytes of activations for one token.
    var tokenByteCount: Int {
        4 * (hidden + 2 * queryWidth + 2 * keyWidth + 2 * feedForward + 2 * experts) + 2 * widest
            + 4 * hidden * ((experts > 0 ? 2 : 0) + (changesSums ? 1 : 0))
    }
}

/// The work buffers of a layer. The caller owns them and may keep their contents.
struct LayerBuffers: Sendable {
    /// The normed stream, [tokens, hidden].
    let normed: Scratch
    /// Rotated queries and keys, values, and the outputs of the attention heads, each [tokens, columns].
    let query, key, value, mixed: Scratch
    /// Inside the MLP, [tokens, feedForward]: the products before the activation, and `act(gate) * up` in `inner`, which is
    /// the same memory as `gate` unless a backward pass needs the gate.
    let gate, up, inner: Scratch
    /// Outputs of attention or the MLP before they are normed or scaled, [tokens, hidden]; `nil` where they never are.
    let added: Scratch?
    let experts: ExpertBuffers?
    /// Operands in bf16; `nil` when products do not use the CPU's bf16 instructions.
    let bf16: Scratch?
    let attention: AttentionBuffers
    let linear: LinearBuffers
    /// Earlier tokens of the same sequences, which attention sees too.
    var past: PastTokens?
    /// Whether products with single rows multiply the weights a row at a time.
    var usesDotProducts = false

    /// Whether `gate` is left as it is.
    var keepsGate: Bool { inner !== gate }

    init(
        _ shape: LayerShape, contexts: Int, contextLength: Int, usesBF16: Bool, keepsGate: Bool = false, threads: Int
    ) {
        let tokens = contexts * contextLength
        normed = Scratch(floats: tokens * shape.hidden)
        query = Scratch(floats: tokens * shape.queryWidth)
        key = Scratch(floats: tokens * shape.keyWidth)
        value = Scratch(floats: tokens * shape.keyWidth)
        mixed = Scratch(floats: tokens * shape.queryWidth)
        gate = Scratch(floats: tokens * shape.feedForward)
        up = Scratch(floats: tokens * shape.feedForward)
        inner = keepsGate ? Scratch(floats: tokens * shape.feedForward) : gate
        added = shape.changesSums ? Scratch(floats: tokens * shape.hidden) : nil
        experts =
            shape.experts > 0 ? ExpertBuffers(tokens: tokens, hidden: shape.hidden, experts: shape.experts) : nil
        bf16 = usesBF16 ? Scratch(byteCount: tokens * shape.widest * 2) : nil
        attention = AttentionBuffers(
            headSize: shape.headSize, contextLength: contextLength, threads: threads)
        linear = LinearBuffers(threads: threads)
    }

    /// Buffers that keep what the backward pass reads; the others are shared with `other`.
    init(_ shape: LayerShape, tokens: Int, sharing other: LayerBuffers) {
        query = Scratch(floats: tokens * shape.queryWidth)
        key = Scratch(floats: tokens * shape.keyWidth)
        value = Scratch(floats: tokens * shape.keyWidth)
        mixed = Scratch(floats: tokens * shape.queryWidth)
        gate = Scratch(floats: tokens * shape.feedForward)
        up = Scratch(floats: tokens * shape.feedForward)
        (normed, inner, bf16) = (other.normed, other.inner, other.bf16)
        (added, experts) = (other.added, other.experts)
        (attention, linear) = (other.attention, other.linear)
    }

    /// Rows of a buffer as an operand.
    func operand(_ values: Scratch, rows: Int, columns: Int) -> MatrixOperand {
        MatrixOperand(
            values.floats, rows: rows, columns: columns, bf16: bf16, threads: linear.threads,
            usesDotProducts: usesDotProducts && rows == 1)
    }
}
