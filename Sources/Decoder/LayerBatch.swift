internal import CKernels
internal import Checkpoints
internal import Kernels
internal import Parallel
internal import Weights

/// Runs one decoder layer over as many contexts as fit its memory:
///
///     x += attention(norm(x));  x += mlp(norm(x))
///
/// with norms before, after or on both sides of attention and the MLP, which may also run in parallel.
struct LayerBatch {
    /// How many contexts are run together.
    let contexts: Int
    let contextLength: Int
    let shape: LayerShape
    let rotary: Rotary
    let rotaryTables: RotaryTables
    let threads: Int

    /// A batch has as many contexts as fit about this many bytes of activations.
    private static let batchByteCount = 48 << 20

    init(_ model: DecoderModel, contextLength: Int, contextCount: Int, threads: Int) {
        shape = model.shape
        rotary = model.rotary
        let fit = LayerBatch.batchByteCount / max(1, shape.tokenByteCount * contextLength)
        contexts = max(1, min(contextCount, fit))
        self.contextLength = contextLength
        self.threads = threads
        rotaryTables = rotary.tables(positions: contextLength)
    }

    /// Memory for one batch.
    func buffers(usesBF16: Bool, keepsGate: Bool = false) -> LayerBuffers {
        LayerBuffers(
            shape, contexts: contexts, contextLength: contextLength, usesBF16: usesBF16, keepsGate: keepsGate,
            threads: threads)
    }

    /// Whether the layers of another model can run with these sizes and rotary tables.
    func suits(_ model: DecoderModel) -> Bool { model.shape == shape && model.rotary == rotary }

    /// Runs a layer in place.
    ///
    /// - Parameters:
    ///   - states: [contexts * contextLength, hidden].
    ///   - behindAttention: called after attention's output is added to the states, and before the MLP's is.
    func run(
        _ layer: DecoderModel.Layer, states: UnsafeMutablePointer<Float>, contexts: Int, _ buffers: LayerBuffers,
        _ observation: LayerObservation, behindAttention: () -> Void = {}
    ) throws(CheckpointError) {
        try CheckpointError.checkCancellation()
        try observation.stream(states, columns: shape.hidden)
        guard layer.plan.parallel == nil else {
            try runParallel(layer, states, contexts, buffers, observation, behindAttention)
            return
        }
        try attend(layer, states, contexts, buffers, observation)
        behindAttention()
        try addFeedForward(layer, states, contexts, buffers, observation)
    }

    /// Runs a layer whose attention and MLP both read the stream before the layer.
    private func runParallel(
        _ layer: DecoderModel.Layer, _ states: UnsafeMutablePointer<Float>, _ contexts: Int, _ buffers: LayerBuffers,
        _ observation: LayerObservation, _ behindAttention: () -> Void
    ) throws(CheckpointError) {
        guard case .dense(let feedForward) = layer.feedForward else {
            preconditionFailure("experts beside attention")
        }
        let tokens = contexts * contextLength
        _ = try mix(layer, states, contexts, buffers, observation)
        let normed =
            layer.plan.parallel == .shared
            ? buffers.operand(buffers.normed, rows: tokens, columns: shape.hidden)
            : try norm(layer.feedForwardNorm, states, tokens, buffers)
        _ = try feedForward.inner(normed, buffers, observation)
        let mixed = buffers.operand(buffers.mixed, rows: tokens, columns: layer.attention.queryWidth)
        try add(layer.attentionOutput, of: mixed, layer.attentionPostNorm, layer, to: states, buffers)
        behindAttention()
        let inner = buffers.operand(buffers.inner, rows: tokens, columns: feedForward.width)
        try add(feedForward.down, of: inner, layer.feedForwardPostNorm, layer, to: states, buffers)
    }

    /// Adds the output of attention to the stream; queries, keys, values and the outputs of heads stay in the buffers.
    func attend(
        _ layer: DecoderModel.Layer, _ states: UnsafeMutablePointer<Float>, _ contexts: Int, _ buffers: LayerBuffers,
        _ observation: LayerObservation
    ) throws(CheckpointError) {
        let mixed = try mix(layer, states, contexts, buffers, observation)
        try add(layer.attentionOutput, of: mixed, layer.attentionPostNorm, layer, to: states, buffers)
    }

    /// Adds the output of the MLP to the stream.
    func addFeedForward(
        _ layer: DecoderModel.Layer, _ states: UnsafeMutablePointer<Float>, _ contexts: Int, _ buffers: LayerBuffers,
        _ observation: LayerObservation
    ) throws(CheckpointError) {
        let normed = try norm(layer.feedForwardNorm, states, contexts * contextLength, buffers)
        switch layer.feedForward {
        case .dense(let feedForward):
            let inner = try feedForward.inner(normed, buffers, observation)
            try add(feedForward.down, of: inner, layer.feedForwardPostNorm, layer, to: states, buffers)
        case .experts(let experts):
            try add(layer, to: states, normed.rows, buffers) { (output) throws(CheckpointError) in
                try experts.add(normed, to: output, buffers, observation)
            }
        }
    }

    /// Adds to the stream what `experts` adds to its argument, [tokens, hidden], after the layer's post-norm and residual
    /// scale.
    func add(
        _ layer: DecoderModel.Layer, to states: UnsafeMutablePointer<Float>, _ tokens: Int, _ buffers: LayerBuffers,
        _ experts: (_ output: UnsafeMutablePointer<Float>) throws(CheckpointError) -> Void
    ) throws(CheckpointError) {
        guard let added = buffers.added else { return try experts(states) }
        added.floats.update(repeating: 0, count: tokens * shape.hidden)
        try experts(added.floats)
        try addNormed(added.floats, tokens, layer.feedForwardPostNorm, layer, to: states)
    }

    /// Adds a product to the stream, after `postNorm` and the layer's residual scale.
    func add(
        _ linear: Linear, of operand: MatrixOperand, _ postNorm: Norm?, _ layer: DecoderModel.Layer,
        to states: UnsafeMutablePointer<Float>, _ buffers: LayerBuffers
    ) throws(CheckpointError) {
        guard postNorm != nil || layer.plan.residualScale != 1, let added = buffers.added else {
            try Linear.apply([Linear.Target(linear, states, accumulates: true)], to: operand, buffers: buffers.linear)
            return
        }
        try Linear.apply([Linear.Target(linear, added.floats)], to: operand, buffers: buffers.linear)
        try addNormed(added.floats, operand.rows, postNorm, layer, to: states)
    }

    private func addNormed(
        _ added: UnsafeMutablePointer<Float>, _ tokens: Int, _ postNorm: Norm?, _ layer: DecoderModel.Layer,
        to states: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) {
        try postNorm?.apply(inPlace: tokens, added, threads: threads)
        nonisolated(unsafe) let (states, added) = (states, added)
        let (hidden, scale) = (shape.hidden, layer.plan.residualScale)
        Parallel.forEachRow(tokens, workers: threads) { row in
            resect_add_scaled(states + row * hidden, added + row * hidden, hidden, scale)
        }
    }

    /// The normed stream; without a norm the stream itself.
    func norm(
        _ norm: Norm?, _ states: UnsafeMutablePointer<Float>, _ tokens: Int, _ buffers: LayerBuffers
    ) throws(CheckpointError) -> MatrixOperand {
        nonisolated(unsafe) let states = states
        let hidden = shape.hidden
        if let norm {
            try norm.apply(
                rows: tokens, of: { UnsafePointer(states + $0 * hidden) }, into: buffers.normed.floats,
                threads: threads)
        } else {
            buffers.normed.floats.update(from: states, count: tokens * hidden)
        }
        return buffers.operand(buffers.normed, rows: tokens, columns: hidden)
    }
}
