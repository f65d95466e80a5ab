internal import Checkpoints
internal import Kernels
internal import Weights

extension LayerBatch {
    /// Runs a layer in place, and keeps what its backward pass needs.
    ///
    /// - Parameter states: the stream, [contexts * contextLength, hidden].
    func run(
        _ layer: DecoderModel.Layer, states: UnsafeMutablePointer<Float>, contexts: Int, keeping kept: LayerActivations
    ) throws(CheckpointError) {
        let count = contexts * contextLength * shape.hidden
        kept.input.floats.update(from: states, count: count)
        try attend(layer, states, contexts, kept.buffers, .none)
        kept.middle.floats.update(from: states, count: count)
        try addFeedForward(layer, states, contexts, kept.buffers, .none)
    }

    /// Computes again what the backward pass needs of a layer, from its input: everything but the last product.
    private func recompute(
        _ layer: DecoderModel.Layer, contexts: Int, _ kept: LayerActivations
    ) throws(CheckpointError) {
        let tokens = contexts * contextLength
        let middle = kept.middle.floats
        middle.update(from: kept.input.floats, count: tokens * shape.hidden)
        try attend(layer, middle, contexts, kept.buffers, .none)
        let normed = try norm(layer.feedForwardNorm, middle, tokens, kept.buffers)
        try layer.trainable.gateAndUp(normed, kept.buffers)
    }

    /// Turns the gradient by the stream after a layer into that by the stream before it.
    ///
    /// - Parameters:
    ///   - gradient: the gradient, in place.
    ///   - kept: what the forward pass left; used up.
    ///   - sums: what the gradients of adapters are added to.
    ///   - isLowest: whether no layer below wants the gradient, so that it need not be computed.
    func applyBackward(
        _ layer: DecoderModel.Layer, gradient: UnsafeMutablePointer<Float>, contexts: Int, _ kept: LayerActivations,
        _ backward: BackwardBuffers, _ sums: LayerGradients, isLowest: Bool
    ) throws(CheckpointError) {
        if kept.isShared { try recompute(layer, contexts: contexts, kept) }
        let tokens = contexts * contextLength, buffers = kept.buffers
        let ends = isLowest && !sums.hasAttention
        let normed = try norm(layer.feedForwardNorm, kept.middle.floats, tokens, buffers)
        try layer.trainable.applyBackward(
            normed, gradient: gradient, into: ends ? nil : backward.normed.floats, buffers, backward, sums)
        if ends { return }
        try normBackward(layer.feedForwardNorm, kept.middle.floats, backward, addingTo: gradient, tokens)
        try attendBackward(layer, kept.input.floats, gradient, contexts, buffers, backward, sums)
        if isLowest { return }
        try normBackward(layer.attentionNorm, kept.input.floats, backward, addingTo: gradient, tokens)
    }

    private func attendBackward(
        _ layer: DecoderModel.Layer, _ input: UnsafeMutablePointer<Float>, _ gradient: UnsafeMutablePointer<Float>,
        _ contexts: Int, _ buffers: LayerBuffers, _ backward: BackwardBuffers, _ sums: LayerGradients
    ) throws(CheckpointError) {
        let (tokens, sizes) = (contexts * contextLength, layer.attention)
        let mixed = buffers.operand(buffers.mixed, rows: tokens, columns: sizes.queryWidth)
        try sums.add(.attentionOutput, layer.attentionOutput, gradient, mixed, buffers.linear)
        try layer.attentionOutput.applyBackward(gradient, rows: tokens, into: backward.mixed.floats, threads: threads)
        let (query, key, value) = (backward.query.floats, backward.key.floats, backward.value.floats)
        AttentionBackward(
            shape: sizes, contextLength: contextLength, buffers: backward.attention, threads: threads
        ).run(
            .init(query: buffers.query.floats, key: buffers.key.floats, value: buffers.value.floats),
            gradient: backward.mixed.floats, into: .init(query: query, key: key, value: value), contexts: contexts)
        let table = backward.rotaryTables.table(layer.plan.attention.rotary)
        for (values, heads) in [(query, sizes.heads), (key, sizes.keyHeads)] {
            table?.rotate(values, rows: tokens, heads: heads, headSize: sizes.headSize, threads: threads)
        }
        let normed = try norm(layer.attentionNorm, input, tokens, buffers)
        let products = [
            (ProductRole.query, layer.query, query), (.key, layer.key, key), (.value, layer.value, value),
        ]
        for (index, (role, linear, part)) in products.enumerated() {
            try sums.add(role, linear, part, normed, buffers.linear)
            try linear.applyBackward(
                part, rows: tokens, into: backward.normed.floats, accumulates: index > 0, threads: threads)
        }
    }

    /// Adds the gradient by the input of a norm, from that by its result in `backward.normed`.
    private func normBackward(
        _ norm: Norm?, _ states: UnsafePointer<Float>, _ backward: BackwardBuffers,
        addingTo gradient: UnsafeMutablePointer<Float>, _ tokens: Int
    ) throws(CheckpointError) {
        nonisolated(unsafe) let (states, gradient) = (states, gradient)
        let hidden = shape.hidden
        try norm?.applyBackward(
            rows: tokens, of: { states + $0 * hidden }, gradient: backward.normed.floats,
            addingTo: { gradient + $0 * hidden }, threads: threads)
    }
}

extension DecoderModel.Layer {
    /// The MLP of a layer that has no experts, as `DecoderModel.untrainable` has made sure.
    fileprivate var trainable: FeedForward {
        guard let dense else { preconditionFailure("a backward pass through experts") }
        return dense
    }
}

extension DecoderModel {
    /// What the backward pass does not compute of this model; `nil` when it computes all of it.
    package var untrainable: String? {
        for layer in layers {
            let attention = layer.plan.attention
            if layer.dense == nil { return "experts" }
            if layer.plan.parallel != nil { return "an MLP beside attention" }
            if layer.plan.norms != .before { return "norms after attention and the MLP" }
            if layer.plan.residualScale != 1 { return "a factor of what attention and the MLP add to the stream" }
            if layer.queryNorm != nil { return "norms of queries and keys" }
            if attention.cap != nil { return "a soft cap of attention's scores" }
            if attention.clip != nil { return "bounds of queries, keys and values" }
            if attention.positionScale != nil { return "queries that grow with their position" }
        }
        if plan.logitCap != nil || plan.logitScale != 1 { return "a cap or a factor of the logits" }
        return nil
    }
}
