internal import CKernels
internal import Checkpoints
internal import Kernels
internal import Parallel
internal import Weights

#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

extension LayerBatch {
    /// The outputs of all attention heads, the operand of the output projection: [contexts * contextLength, queryWidth].
    func mix(
        _ layer: DecoderModel.Layer, _ states: UnsafeMutablePointer<Float>, _ contexts: Int, _ buffers: LayerBuffers,
        _ observation: LayerObservation
    ) throws(CheckpointError) -> MatrixOperand {
        let (tokens, sizes) = (contexts * contextLength, layer.attention)
        let normed = try norm(layer.attentionNorm, states, tokens, buffers)
        try observation.operand(normed, of: [.query, .key, .value])
        try project(layer, normed, buffers)
        if let past = buffers.past {
            place(layer, buffers, past.tables, tokens, from: past.count)
            past.attend(sizes, buffers, sequences: contexts, rows: contextLength)
        } else {
            place(layer, buffers, rotaryTables, tokens, from: 0)
            Attention(shape: sizes, contextLength: contextLength, buffers: buffers.attention, threads: threads).run(
                query: buffers.query.floats, key: buffers.key.floats, value: buffers.value.floats,
                output: buffers.mixed.floats, contexts: contexts)
        }
        let mixed = buffers.operand(buffers.mixed, rows: tokens, columns: sizes.queryWidth)
        try observation.operand(mixed, of: [.attentionOutput])
        return mixed
    }

    /// Projects the normed stream to queries, keys and values, normalizes queries and keys, and clamps all three, where the
    /// layer does so.
    private func project(
        _ layer: DecoderModel.Layer, _ normed: MatrixOperand, _ buffers: LayerBuffers
    ) throws(CheckpointError) {
        let (rows, sizes) = (normed.rows, layer.attention)
        let (query, key, value) = (buffers.query.floats, buffers.key.floats, buffers.value.floats)
        try Linear.apply(
            [
                Linear.Target(layer.query, query), Linear.Target(layer.key, key), Linear.Target(layer.value, value),
            ], to: normed, buffers: buffers.linear)
        try layer.queryNorm?.apply(
            to: query, rows: rows, heads: sizes.heads, headSize: sizes.headSize, threads: threads)
        try layer.keyNorm?.apply(
            to: key, rows: rows, heads: sizes.keyHeads, headSize: sizes.headSize, threads: threads)
        if let bound = layer.plan.attention.clip {
            resect_clamp(query, rows * sizes.queryWidth, bound)
            for values in [key, value] { resect_clamp(values, rows * sizes.keyWidth, bound) }
        }
    }

    /// Rotates queries and keys by their positions and scales queries, where the layer does so. The position of row r is
    /// `first + r % contextLength`.
    private func place(
        _ layer: DecoderModel.Layer, _ buffers: LayerBuffers, _ tables: RotaryTables, _ tokens: Int, from first: Int
    ) {
        let sizes = layer.attention
        if let table = tables.table(layer.plan.attention.rotary) {
            for (values, heads) in [(buffers.query.floats, sizes.heads), (buffers.key.floats, sizes.keyHeads)] {
                table.rotate(
                    values, rows: tokens, heads: heads, headSize: sizes.headSize, from: first, length: contextLength,
                    threads: threads)
            }
        }
        scaleByPosition(layer, buffers.query.floats, tokens, from: first)
    }

    /// Multiplies queries, or the gradients with respect to them, by `1 + beta log(1 + floor(position / context))`.
    func scaleByPosition(
        _ layer: DecoderModel.Layer, _ query: UnsafeMutablePointer<Float>, _ tokens: Int, from first: Int
    ) {
        guard let scale = layer.plan.attention.positionScale else { return }
        let width = layer.attention.queryWidth
        for row in 0..<tokens {
            let times = (first + row % contextLength) / scale.context
            guard times > 0 else { continue }
            let factor = 1 + scale.beta * logf(1 + Float(times))
            resect_multiply_by(query + row * width, width, factor)
        }
    }
}
