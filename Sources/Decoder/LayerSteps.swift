package import Checkpoints
package import Kernels
package import Weights

/// Runs layers step by step over states that the caller owns, so that what lies between the products can be looked at and
/// weights can be replaced.
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
    package func run(
        _ layer: Int, _ states: UnsafeMutablePointer<Float>, contexts: Int
    ) throws(CheckpointError) {
        try batch.run(
            model.layers[layer], states: states, contexts: contexts, buffers, LayerObservation.none(layer))
    }

    /// What attention mixes, [tokens, columns]: the operand of its output product. It lasts until the next step.
    package func mix(
        _ layer: Int, _ states: UnsafeMutablePointer<Float>, contexts: Int
    ) throws(CheckpointError) -> MatrixOperand {
        try CheckpointError.checkCancellation()
        return try batch.mix(model.layers[layer], states, contexts, buffers, LayerObservation.none(layer))
    }

    /// What the MLP multiplies with its last matrix, [tokens, columns]. It lasts until the next step.
    package func inner(
        _ layer: Int, _ states: UnsafeMutablePointer<Float>, contexts: Int
    ) throws(CheckpointError) -> MatrixOperand {
        try batch.inner(model.layers[layer], states, contexts, buffers, LayerObservation.none(layer))
    }

    /// Adds a product to the states.
    package func add(
        _ linear: Linear, of operand: MatrixOperand, to states: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) {
        try Linear.apply([Linear.Target(linear, states, accumulates: true)], to: operand, buffers: buffers.linear)
    }
}

extension LayerObservation {
    /// Tells nobody.
    fileprivate static func none(_ layer: Int) -> LayerObservation {
        LayerObservation(observer: nil, layer: layer, tokens: 0..<0)
    }
}

extension DecoderModel {
    /// The product of attention's output in a layer.
    package func attentionOutput(_ layer: Int) -> Linear { layers[layer].attentionOutput }
    /// The last product of the MLP in a layer.
    ///
    /// - Precondition: the layer has no experts.
    package func feedForwardDown(_ layer: Int) -> Linear {
        guard let feedForward = layers[layer].dense else { preconditionFailure("layer \(layer) has experts") }
        return feedForward.down
    }
    /// Why a single product cannot be fitted to the stream; `nil` when each adds to it what comes out, and the MLP follows
    /// attention.
    package var unfittable: String? {
        for role in [ProductRole.attentionOutput, .down] where !isStoredWhole(role) {
            return "weights that are stored transposed or joined with others"
        }
        for layer in layers {
            if layer.dense == nil { return "experts" }
            if layer.plan.parallel != nil { return "an MLP beside attention" }
            if layer.plan.hasNormsAfter { return "norms after attention and the MLP" }
            if layer.plan.residualScale != 1 { return "a factor of what attention and the MLP add to the stream" }
        }
        return nil
    }
    /// Columns of the residual stream.
    package var hidden: Int { plan.hidden }
    /// How many layers there are.
    package var layerCount: Int { layers.count }
}
