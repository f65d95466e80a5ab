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
        let inner = try inner(layer, states, contexts, kept.buffers, .none)
        try Linear.apply(
            [Linear.Target(layer.feedForward.down, states, accumulates: true)], to: inner, buffers: kept.buffers.linear)
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
        try layer.feedForward.gateAndUp(normed, kept.buffers)
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
        try layer.feedForward.applyBackward(
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
        let table = backward.rotaryTable
        rotary.apply(to: query, rows: tokens, heads: sizes.heads, table, threads: threads)
        rotary.apply(to: key, rows: tokens, heads: sizes.keyHeads, table, threads: threads)
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
        _ norm: Norm, _ states: UnsafePointer<Float>, _ backward: BackwardBuffers,
        addingTo gradient: UnsafeMutablePointer<Float>, _ tokens: Int
    ) throws(CheckpointError) {
        nonisolated(unsafe) let (states, gradient) = (states, gradient)
        let hidden = shape.hidden
        try norm.applyBackward(
            rows: tokens, of: { states + $0 * hidden }, gradient: backward.normed.floats,
            addingTo: { gradient + $0 * hidden }, threads: threads)
    }
}
