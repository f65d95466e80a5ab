package import Checkpoints
internal import Kernels
package import Weights

/// A forward and a backward pass over a few contexts: the loss, and the gradients of the adapters.
///
/// The input of every layer is kept. Activations inside a layer are kept in as many layers as fit the memory; in the others
/// the backward pass computes them again (gradient checkpointing), with the same bits.
package final class TrainingPass {
    /// The most contexts that run together.
    package let contextsAtOnce: Int
    /// Tokens in a context.
    package let contextLength: Int
    private let hidden: Int
    private let batch: LayerBatch
    private let states: Scratch
    private let gradient: Scratch
    private let activations: [LayerActivations]
    private let backward: BackwardBuffers

    /// Memory for passes of models of one shape.
    ///
    /// - Parameters:
    ///   - contextCount: how many contexts should run together; `contextsAtOnce` may be less.
    ///   - memory: bytes for the activations inside layers.
    package init(_ model: DecoderModel, contextLength: Int, contextCount: Int, memory: Int, threads: Int) {
        self.contextLength = contextLength
        hidden = model.plan.hidden
        batch = LayerBatch(
            model, contextLength: contextLength, contextCount: contextCount, threads: threads)
        contextsAtOnce = batch.contexts
        let count = batch.contexts * contextLength * hidden
        states = Scratch(floats: count)
        gradient = Scratch(floats: count)
        activations = LayerActivations.make(batch, layers: model.layers.count, memory: memory)
        backward = BackwardBuffers(batch)
    }

    /// Computes the loss of some contexts, and adds the gradients of all adapters.
    ///
    /// - Parameters:
    ///   - model: with its adapters.
    ///   - contexts: at most `contextsAtOnce`, of `contextLength` tokens.
    ///   - sums: what the gradients are added to, one for each adapter.
    ///   - loss: receives the states after the last layer, and zeros to which it adds the gradient with respect to them.
    /// - Returns: what `loss` returns.
    package func run(
        _ model: DecoderModel, _ contexts: [[Int32]], addingTo sums: [AdapterPosition: AdapterGradient],
        loss: (
            _ states: UnsafePointer<Float>, _ gradient: UnsafeMutablePointer<Float>
        ) throws(CheckpointError) -> Double
    ) throws(CheckpointError) -> Double {
        precondition(
            contexts.count <= contextsAtOnce && contexts.allSatisfy { $0.count == contextLength },
            "contexts that do not fit the memory of the pass")
        try CheckpointError.checkCancellation()
        let count = contexts.count * contextLength * hidden
        let lowest = sums.keys.min()?.layer ?? model.layers.count
        try model.embed(contexts, into: states.floats)
        for (layer, kept) in zip(model.layers, activations) {
            try batch.run(layer, states: states.floats, contexts: contexts.count, keeping: kept)
        }
        gradient.floats.update(repeating: 0, count: count)
        let result = try loss(states.floats, gradient.floats)
        for number in (lowest..<max(lowest, model.layers.count)).reversed() {
            var layerSums: [ProductRole: AdapterGradient] = [:]
            for (position, sum) in sums where position.layer == number { layerSums[position.role] = sum }
            try batch.applyBackward(
                model.layers[number], gradient: gradient.floats, contexts: contexts.count, activations[number],
                backward, LayerGradients(sums: layerSums), isLowest: number == lowest)
        }
        return result
    }
}
