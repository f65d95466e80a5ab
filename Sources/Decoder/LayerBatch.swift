internal import Checkpoints
internal import Kernels
internal import Weights

/// Runs one decoder layer over as many contexts as fit its memory:
///
///     y = norm(x);  x += attention(rotate(y Wq), rotate(y Wk), y Wv) Wo
///     y = norm(x);  x += (silu(y Wgate) * y Wup) Wdown
struct LayerBatch {
    /// How many contexts are run together.
    let contexts: Int
    let contextLength: Int
    let shape: LayerShape
    let rotary: Rotary
    let rotaryTable: RotaryTable
    let threads: Int

    /// Activations of about this many bytes are kept for one batch.
    private static let batchByteCount = 48 << 20

    init(_ shape: LayerShape, _ rotary: Rotary, contextLength: Int, contextCount: Int, threads: Int) {
        let fit = LayerBatch.batchByteCount / max(1, shape.tokenByteCount * contextLength)
        contexts = max(1, min(contextCount, fit))
        self.contextLength = contextLength
        self.shape = shape
        self.rotary = rotary
        self.threads = threads
        rotaryTable = RotaryTable(rotary.frequencies, positions: contextLength)
    }

    /// Memory for one batch.
    func buffers(usesBF16: Bool, keepsGate: Bool = false) -> LayerBuffers {
        LayerBuffers(
            shape, contexts: contexts, contextLength: contextLength, usesBF16: usesBF16, keepsGate: keepsGate,
            threads: threads)
    }

    /// Whether the layers of a model can be run too.
    func suits(_ model: DecoderModel) -> Bool { model.shape == shape && model.rotary == rotary }

    /// Runs a layer in place.
    ///
    /// - Parameter states: [contexts * contextLength, hidden].
    func run(
        _ layer: DecoderModel.Layer, states: UnsafeMutablePointer<Float>, contexts: Int, _ buffers: LayerBuffers,
        _ observation: LayerObservation
    ) throws(CheckpointError) {
        try observation.stream(states, columns: shape.hidden)
        try attend(layer, states, contexts, buffers, observation)
        let inner = try inner(layer, states, contexts, buffers, observation)
        try Linear.apply(
            [Linear.Target(layer.feedForward.down, states, accumulates: true)], to: inner, buffers: buffers.linear)
    }

    /// Adds what attention gives to the stream; what it computed on the way stays in the buffers.
    func attend(
        _ layer: DecoderModel.Layer, _ states: UnsafeMutablePointer<Float>, _ contexts: Int, _ buffers: LayerBuffers,
        _ observation: LayerObservation
    ) throws(CheckpointError) {
        let mixed = try mix(layer, states, contexts, buffers, observation)
        try Linear.apply(
            [Linear.Target(layer.attentionOutput, states, accumulates: true)], to: mixed, buffers: buffers.linear)
    }

    /// What attention mixes, the operand of its output product: [contexts * contextLength, queryWidth].
    func mix(
        _ layer: DecoderModel.Layer, _ states: UnsafeMutablePointer<Float>, _ contexts: Int, _ buffers: LayerBuffers,
        _ observation: LayerObservation
    ) throws(CheckpointError) -> MatrixOperand {
        let (tokens, sizes) = (contexts * contextLength, layer.attention)
        let (query, key) = (buffers.query.floats, buffers.key.floats)
        let normed = try norm(layer.attentionNorm, states, tokens, buffers)
        try observation.operand(normed, of: [.query, .key, .value])
        try Linear.apply(
            [
                Linear.Target(layer.query, query), Linear.Target(layer.key, key),
                Linear.Target(layer.value, buffers.value.floats),
            ], to: normed, buffers: buffers.linear)
        if let past = buffers.past {
            past.attend(sizes, rotary, buffers, sequences: contexts, rows: contextLength)
        } else {
            rotary.apply(to: query, rows: tokens, heads: sizes.heads, rotaryTable, threads: threads)
            rotary.apply(to: key, rows: tokens, heads: sizes.keyHeads, rotaryTable, threads: threads)
            Attention(shape: sizes, contextLength: contextLength, buffers: buffers.attention, threads: threads).run(
                query: query, key: key, value: buffers.value.floats, output: buffers.mixed.floats, contexts: contexts)
        }
        let mixed = buffers.operand(buffers.mixed, rows: tokens, columns: sizes.queryWidth)
        try observation.operand(mixed, of: [.attentionOutput])
        return mixed
    }

    /// What the MLP multiplies with its last matrix: [contexts * contextLength, feed-forward width].
    func inner(
        _ layer: DecoderModel.Layer, _ states: UnsafeMutablePointer<Float>, _ contexts: Int, _ buffers: LayerBuffers,
        _ observation: LayerObservation
    ) throws(CheckpointError) -> MatrixOperand {
        let normed = try norm(layer.feedForwardNorm, states, contexts * contextLength, buffers)
        return try layer.feedForward.inner(normed, buffers, observation)
    }

    /// The normed stream.
    func norm(
        _ norm: Norm, _ states: UnsafeMutablePointer<Float>, _ tokens: Int, _ buffers: LayerBuffers
    ) throws(CheckpointError) -> MatrixOperand {
        nonisolated(unsafe) let states = states
        let hidden = shape.hidden
        try norm.apply(
            rows: tokens, of: { UnsafePointer(states + $0 * hidden) }, into: buffers.normed.floats, threads: threads)
        return buffers.operand(buffers.normed, rows: tokens, columns: hidden)
    }
}
