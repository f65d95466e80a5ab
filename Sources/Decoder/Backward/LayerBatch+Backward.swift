internal import CKernels
internal import Checkpoints
internal import Kernels
internal import Parallel
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
        guard layer.plan.parallel == nil else {
            try run(layer, states: states, contexts: contexts, kept.buffers, .none)
            return
        }
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
        if layer.plan.parallel == nil {
            try attend(layer, middle, contexts, kept.buffers, .none)
        } else {
            _ = try mix(layer, middle, contexts, kept.buffers, .none)
        }
        guard let dense = layer.dense else { return }
        let normed = try norm(layer.normOfMLP, middle, tokens, kept.buffers)
        try dense.gateAndUp(normed, kept.buffers)
    }

    /// Turns the gradient with respect to the stream after a layer into that with respect to the stream before it.
    ///
    /// - Parameters:
    ///   - gradient: the gradient, in place.
    ///   - kept: what the forward pass left; overwritten.
    ///   - sums: what the gradients of adapters are added to.
    ///   - isLowest: whether no layer before this one has adapters, so that the result is not needed.
    func applyBackward(
        _ layer: DecoderModel.Layer, gradient: UnsafeMutablePointer<Float>, contexts: Int, _ kept: LayerActivations,
        _ backward: BackwardBuffers, _ sums: LayerGradients, isLowest: Bool
    ) throws(CheckpointError) {
        if kept.isShared { try recompute(layer, contexts: contexts, kept) }
        let pass = LayerBackward(self, layer, contexts: contexts, kept, backward, sums)
        let ends = isLowest && !sums.hasAttention
        if layer.plan.parallel == nil {
            try pass.feedForward(kept.middle.floats, gradient, wantsInput: !ends)
            if ends { return }
            try pass.norm(layer.feedForwardNorm, kept.middle.floats, addingTo: gradient)
            try pass.attention(gradient, accumulates: false)
            if isLowest { return }
            try pass.norm(layer.attentionNorm, kept.input.floats, addingTo: gradient)
            return
        }
        try pass.feedForward(kept.input.floats, gradient, wantsInput: !ends)
        if ends { return }
        let hasOwnNorm = layer.plan.parallel == .own
        if hasOwnNorm {
            backward.side.floats.update(repeating: 0, count: pass.count)
            try pass.norm(layer.feedForwardNorm, kept.input.floats, addingTo: backward.side.floats)
        }
        try pass.attention(gradient, accumulates: !hasOwnNorm)
        if isLowest { return }
        try pass.norm(layer.attentionNorm, kept.input.floats, addingTo: gradient)
        if hasOwnNorm { resect_add(gradient, backward.side.floats, pass.count) }
    }
}

extension DecoderModel.Layer {
    /// The norm before the MLP; `nil` where the MLP reads the stream as it is.
    var normOfMLP: Norm? { plan.parallel == .shared ? attentionNorm : feedForwardNorm }
}

/// The backward pass of one layer: of its MLP, of its attention, and of its norms.
struct LayerBackward {
    let batch: LayerBatch
    let layer: DecoderModel.Layer
    let contexts: Int
    let kept: LayerActivations
    let backward: BackwardBuffers
    let sums: LayerGradients

    init(
        _ batch: LayerBatch, _ layer: DecoderModel.Layer, contexts: Int, _ kept: LayerActivations,
        _ backward: BackwardBuffers, _ sums: LayerGradients
    ) {
        (self.batch, self.layer, self.contexts, self.kept) = (batch, layer, contexts, kept)
        (self.backward, self.sums) = (backward, sums)
    }

    var tokens: Int { contexts * batch.contextLength }
    /// Elements of the stream.
    var count: Int { tokens * batch.shape.hidden }
    var buffers: LayerBuffers { kept.buffers }

    /// The backward pass of the MLP: writes the gradient with respect to its input to `backward.normed`.
    ///
    /// - Parameters:
    ///   - states: the stream that the MLP reads.
    ///   - gradient: the gradient with respect to the stream after the MLP.
    ///   - wantsInput: whether the gradient with respect to the input is needed, and not only those of adapters.
    func feedForward(
        _ states: UnsafeMutablePointer<Float>, _ gradient: UnsafeMutablePointer<Float>, wantsInput: Bool
    ) throws(CheckpointError) {
        switch layer.feedForward {
        case .dense(let feedForward):
            // The post-norm comes first: it needs the operand of the last product again, and the rest overwrites that.
            let own = try outputGradient(layer.feedForwardPostNorm, gradient) { (added) throws(CheckpointError) in
                let inner = feedForward.activated(tokens, buffers)
                try Linear.apply([Linear.Target(feedForward.down, added)], to: inner, buffers: buffers.linear)
            }
            let normed = try batch.norm(layer.normOfMLP, states, tokens, buffers)
            try feedForward.applyBackward(
                normed, gradient: own, into: wantsInput ? backward.normed.floats : nil, buffers, backward, sums)
        case .experts(let experts):
            let normed = try batch.norm(layer.normOfMLP, states, tokens, buffers)
            let own = try outputGradient(layer.feedForwardPostNorm, gradient) { (added) throws(CheckpointError) in
                added.update(repeating: 0, count: count)
                try experts.add(normed, to: added, buffers, .none)
            }
            if wantsInput { try experts.applyBackward(rows: tokens, gradient: own, buffers, backward) }
        }
    }

    /// The gradient with respect to the output of attention or the MLP, before the post-norm and the residual scale.
    ///
    /// - Parameter recompute: writes that output, [tokens, hidden].
    func outputGradient(
        _ postNorm: Norm?, _ gradient: UnsafeMutablePointer<Float>,
        _ recompute: (_ added: UnsafeMutablePointer<Float>) throws(CheckpointError) -> Void
    ) throws(CheckpointError) -> UnsafeMutablePointer<Float> {
        let scale = layer.plan.residualScale
        guard postNorm != nil || scale != 1, let added = buffers.added else { return gradient }
        let result = backward.added.floats
        guard let postNorm else {
            result.update(from: gradient, count: count)
            resect_multiply_by(result, count, scale)
            return result
        }
        try recompute(added.floats)
        result.update(repeating: 0, count: count)
        nonisolated(unsafe) let (source, output) = (UnsafePointer(added.floats), result)
        let hidden = batch.shape.hidden
        try postNorm.applyBackward(
            rows: tokens, of: { source + $0 * hidden }, gradient: gradient, addingTo: { output + $0 * hidden },
            threads: batch.threads)
        if scale != 1 { resect_multiply_by(result, count, scale) }
        return result
    }

    /// Adds the gradient with respect to the input of a norm; `backward.normed` holds that with respect to its output.
    func norm(
        _ norm: Norm?, _ states: UnsafePointer<Float>, addingTo gradient: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) {
        guard let norm else {
            resect_add(gradient, backward.normed.floats, count)
            return
        }
        nonisolated(unsafe) let (states, gradient) = (states, gradient)
        let hidden = batch.shape.hidden
        try norm.applyBackward(
            rows: tokens, of: { states + $0 * hidden }, gradient: backward.normed.floats,
            addingTo: { gradient + $0 * hidden }, threads: batch.threads)
    }
}
