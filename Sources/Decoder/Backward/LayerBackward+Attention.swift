internal import CKernels
internal import Checkpoints
internal import Kernels
internal import Parallel
internal import Weights

extension LayerBackward {
    /// The backward pass of attention: writes the gradient with respect to its input to `backward.normed`.
    ///
    /// - Parameters:
    ///   - gradient: the gradient with respect to the stream after attention.
    ///   - accumulates: whether the result is added to the contents of `backward.normed`.
    func attention(_ gradient: UnsafeMutablePointer<Float>, accumulates: Bool) throws(CheckpointError) {
        let (sizes, threads) = (layer.attention, batch.threads)
        let mixed = buffers.operand(buffers.mixed, rows: tokens, columns: sizes.queryWidth)
        let own = try outputGradient(layer.attentionPostNorm, gradient) { (added) throws(CheckpointError) in
            try Linear.apply([Linear.Target(layer.attentionOutput, added)], to: mixed, buffers: buffers.linear)
        }
        try sums.add(.attentionOutput, layer.attentionOutput, own, mixed, buffers.linear)
        try layer.attentionOutput.applyBackward(own, rows: tokens, into: backward.mixed.floats, threads: threads)
        let (query, key, value) = (backward.query.floats, backward.key.floats, backward.value.floats)
        AttentionBackward(
            shape: sizes, contextLength: batch.contextLength, buffers: backward.attention, threads: threads
        ).run(
            .init(query: buffers.query.floats, key: buffers.key.floats, value: buffers.value.floats),
            gradient: backward.mixed.floats, into: .init(query: query, key: key, value: value), contexts: contexts)
        batch.scaleByPosition(layer, query, tokens, from: 0)
        let table = backward.rotaryTables.table(layer.plan.attention.rotary)
        for (values, heads) in [(query, sizes.heads), (key, sizes.keyHeads)] {
            table?.rotate(values, rows: tokens, heads: heads, headSize: sizes.headSize, threads: threads)
        }
        let normed = try batch.norm(layer.attentionNorm, kept.input.floats, tokens, buffers)
        try normsAndBounds(normed)
        let products = [
            (ProductRole.query, layer.query, query), (.key, layer.key, key), (.value, layer.value, value),
        ]
        for (index, (role, linear, part)) in products.enumerated() {
            try sums.add(role, linear, part, normed, buffers.linear)
            try linear.applyBackward(
                part, rows: tokens, into: backward.normed.floats, accumulates: accumulates || index > 0,
                threads: threads)
        }
    }

    /// The backward pass of the clamp and of the norms of queries and keys; clamped elements get the gradient 0. The products
    /// are computed again.
    private func normsAndBounds(_ normed: MatrixOperand) throws(CheckpointError) {
        let bound = layer.plan.attention.clip
        guard layer.queryNorm != nil || layer.keyNorm != nil || bound != nil else { return }
        let (sizes, raw) = (layer.attention, backward.raw.floats)
        for (linear, norm, gradient, heads) in [
            (layer.query, layer.queryNorm, backward.query.floats, sizes.heads),
            (layer.key, layer.keyNorm, backward.key.floats, sizes.keyHeads),
            (layer.value, nil, backward.value.floats, sizes.keyHeads),
        ] {
            if let bound {
                try Linear.apply([Linear.Target(linear, raw)], to: normed, buffers: buffers.linear)
                try norm?.apply(
                    to: raw, rows: tokens, heads: heads, headSize: sizes.headSize, threads: batch.threads)
                for index in 0..<tokens * heads * sizes.headSize where abs(raw[index]) >= bound { gradient[index] = 0 }
            }
            guard let norm else { continue }
            try Linear.apply([Linear.Target(linear, raw)], to: normed, buffers: buffers.linear)
            try norm.applyBackward(
                raw, gradient: gradient, rows: tokens, heads: heads, headSize: sizes.headSize, threads: batch.threads)
        }
    }
}

extension HeadNorm {
    /// Turns the gradient with respect to the output into that with respect to the input, in place.
    ///
    /// - Parameter source: the input, [rows, heads, headSize].
    func applyBackward(
        _ source: UnsafePointer<Float>, gradient: UnsafeMutablePointer<Float>, rows: Int, heads: Int, headSize: Int,
        threads: Int
    ) throws(CheckpointError) {
        let norms = try NormValues(norm)
        nonisolated(unsafe) let (source, gradient) = (source, gradient)
        let (columns, span) = (heads * headSize, span)
        Parallel.forEachRow(rows, workers: threads) { row in
            withUnsafeTemporaryAllocation(of: Float.self, capacity: columns) { copy in
                guard let copied = copy.baseAddress else { return }
                let (x, g) = (source + row * columns, gradient + row * columns)
                copied.update(from: g, count: columns)
                g.update(repeating: 0, count: columns)
                if span == .width {
                    norms.applyBackward(x, gradient: copied, addingTo: g, count: columns)
                    return
                }
                for head in 0..<heads {
                    let part = head * headSize
                    norms.applyBackward(
                        x + part, gradient: copied + part, addingTo: g + part, first: span == .heads ? part : 0,
                        count: headSize)
                }
            }
        }
    }
}
