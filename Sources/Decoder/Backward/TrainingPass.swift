package import Checkpoints
internal import Kernels
package import Weights

/// A forward and a backward pass over a few contexts: the loss, and the gradients of the adapters.
///
/// The input of every layer is kept; what a layer computes inside is computed again by the backward pass.
package final class TrainingPass {
    /// The most contexts that run together.
    package let contextsAtOnce: Int
    /// Tokens in a context.
    package let contextLength: Int
    private let hidden: Int
    private let batch: LayerBatch
    private let states: Scratch
    private let gradient: Scratch
    /// The input of each layer.
    private let inputs: [Scratch]
    private let buffers: LayerBuffers
    private let backward: BackwardBuffers

    /// Memory for passes of models of one shape.
    ///
    /// - Parameters:
    ///   - contextCount: how many contexts would best run together.
    package init(_ model: DecoderModel, contextLength: Int, contextCount: Int, threads: Int) {
        self.contextLength = contextLength
        hidden = model.plan.hidden
        batch = LayerBatch(
            model.shape, model.rotary, contextLength: contextLength, contextCount: contextCount, threads: threads)
        contextsAtOnce = batch.contexts
        let count = batch.contexts * contextLength * hidden
        states = Scratch(floats: count)
        gradient = Scratch(floats: count)
        inputs = model.layers.map { _ in Scratch(floats: count) }
        buffers = batch.buffers(usesBF16: false)
        backward = BackwardBuffers(batch)
    }

    /// Computes the loss of some contexts, and adds the gradients of all adapters.
    ///
    /// - Parameters:
    ///   - model: with its adapters.
    ///   - contexts: at most `contextsAtOnce`, of `contextLength` tokens.
    ///   - sums: what the gradients are added to, one for each adapter.
    ///   - loss: is given the states after the last layer, and memory of zeros for the gradient by them.
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
        let count = contexts.count * contextLength * hidden
        let lowest = sums.keys.min()?.layer ?? model.layers.count
        try model.embed(contexts.joined(), into: states.floats)
        for (number, layer) in model.layers.enumerated() {
            if number >= lowest { inputs[number].floats.update(from: states.floats, count: count) }
            try batch.run(layer, states: states.floats, contexts: contexts.count, buffers, .none)
        }
        gradient.floats.update(repeating: 0, count: count)
        let result = try loss(states.floats, gradient.floats)
        for number in (lowest..<max(lowest, model.layers.count)).reversed() {
            let layer = model.layers[number], input = inputs[number].floats
            try batch.recompute(
                layer, input: input, middle: backward.middle.floats, contexts: contexts.count, buffers)
            var layerSums: [ProductRole: AdapterGradient] = [:]
            for (position, sum) in sums where position.layer == number { layerSums[position.role] = sum }
            try batch.applyBackward(
                layer, input: input, gradient: gradient.floats, contexts: contexts.count, buffers, backward,
                LayerGradients(sums: layerSums), isLowest: number == lowest)
        }
        return result
    }
}
