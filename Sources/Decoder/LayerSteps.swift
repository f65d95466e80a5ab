package import Checkpoints
package import Kernels
package import Weights

/// Runs layers step by step over states that the caller owns, so that the caller can read the operands of products and
/// replace weights.
package final class LayerSteps {
    /// The model whose layers are run.
    package let model: DecoderModel
    /// Tokens in a context.
    package let contextLength: Int
    /// The most contexts in one step.
    package let contextsAtOnce: Int
    private let batch: LayerBatch
    private let buffers: LayerBuffers

    /// Steps over at most `contexts` contexts; fewer where a layer's memory for them is large.
    package init(
        _ model: DecoderModel, contexts: Int, contextLength: Int, precision: ForwardPass.Precision, threads: Int
    ) {
        self.model = model
        self.contextLength = contextLength
        batch = LayerBatch(
            model, contextLength: contextLength, contextCount: contexts, threads: threads)
        contextsAtOnce = batch.contexts
        buffers = batch.buffers(usesBF16: precision == .bf16 && MatrixOperand.supportsBF16)
    }

    /// Runs a whole layer in place.
    ///
    /// - Parameter behindAttention: receives the states after attention's output is added, before the MLP's is.
    package func run(
        _ layer: Int, _ states: UnsafeMutablePointer<Float>, contexts: Int,
        behindAttention: UnsafeMutablePointer<Float>? = nil
    ) throws(CheckpointError) {
        let count = contexts * contextLength * model.hidden
        try batch.run(
            model.layers[layer], states: states, contexts: contexts, buffers, LayerObservation.none(layer)
        ) {
            behindAttention?.update(from: states, count: count)
        }
    }

    /// The outputs of the attention heads, [tokens, heads * headSize]: the operand of the output projection. Valid until the
    /// next step.
    package func mix(
        _ layer: Int, _ states: UnsafeMutablePointer<Float>, contexts: Int
    ) throws(CheckpointError) -> MatrixOperand {
        try CheckpointError.checkCancellation()
        return try batch.mix(model.layers[layer], states, contexts, buffers, LayerObservation.none(layer))
    }

    /// The operand of the MLP's last product, [tokens, columns]. Valid until the next step.
    ///
    /// In a layer of experts this is the operand of the shared expert's last product, times that expert's weight for each
    /// token; `nil` where `product(_:of:)` is.
    ///
    /// - Parameters:
    ///   - states: the states that the MLP reads.
    ///   - stream: the rest of the MLP's output, which does not come from that product, is added here; may be `states`.
    package func inner(
        _ layer: Int, _ states: UnsafeMutablePointer<Float>, contexts: Int,
        addingRestTo stream: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) -> MatrixOperand? {
        let hasProduct = model.product(.feedForward, of: layer) != nil
        let layer = model.layers[layer]
        let normed = try batch.norm(layer.normOfMLP, states, contexts * contextLength, buffers)
        switch layer.feedForward {
        case .dense(let feedForward): return try feedForward.inner(normed, buffers, .none)
        case .experts(let experts):
            try batch.add(layer, to: stream, normed.rows, buffers) { (output) throws(CheckpointError) in
                if hasProduct {
                    try experts.addChosen(normed, to: output, buffers, .none)
                } else {
                    try experts.add(normed, to: output, buffers, .none)
                }
            }
            return hasProduct ? try experts.weightedSharedInner(rows: normed.rows, buffers) : nil
        }
    }

    /// Adds the last product of a part to the states, after the part's post-norm and the layer's residual scale.
    ///
    /// - Parameter model: this model, where the part may have another last matrix and post-norm.
    package func add(
        _ part: StreamPart, of model: DecoderModel, _ layer: Int, _ operand: MatrixOperand,
        to states: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) {
        guard let linear = model.product(part, of: layer) else { preconditionFailure("layer \(layer) has experts") }
        try batch.add(
            linear, of: operand, model.norm(behind: part, of: layer), model.layers[layer], to: states, buffers)
    }

    /// Writes a product without norm, scale or addition.
    package func write(
        _ linear: Linear, of operand: MatrixOperand, into output: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) {
        try Linear.apply([Linear.Target(linear, output)], to: operand, buffers: buffers.linear)
    }
}

extension LayerObservation {
    /// No observer.
    fileprivate static func none(_ layer: Int) -> LayerObservation {
        LayerObservation(observer: nil, layer: layer, tokens: 0..<0)
    }
}
