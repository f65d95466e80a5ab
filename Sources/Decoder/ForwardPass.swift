package import Checkpoints
internal import Kernels
internal import Weights

/// A forward pass over contexts of equal length, one layer at a time for all of them.
///
/// Weights are read from the mapped file and decoded a tile at a time. Memory holds the hidden states, and what a
/// batch of contexts needs inside one layer; neither depends on the number of layers.
package final class ForwardPass {
    /// How products with weights are computed.
    package enum Precision: String, CaseIterable, Sendable {
        /// In f32 throughout.
        case f32
        /// Products with bf16 weights round activations to bf16 and use the CPU's bf16 instructions; the rest is f32. On
        /// CPUs without these instructions everything is f32.
        case bf16
    }

    /// The model.
    package let model: DecoderModel
    /// How many tokens a context has.
    package let contextLength: Int
    /// How many contexts there are.
    package let contextCount: Int
    /// The layer whose input the states are; the number of layers when all have run.
    package private(set) var layer = 0
    /// Receives the products and the residual stream.
    let observer: (any PassObserver)?
    private let stateMemory: Scratch
    private let batch: LayerBatch
    private let buffers: LayerBuffers

    /// The hidden states before `layer`, [contextCount * contextLength, hidden].
    package var states: UnsafeMutablePointer<Float> { stateMemory.floats }

    /// Looks up the embeddings of some contexts.
    ///
    /// - Parameters:
    ///   - contexts: tokens, the same number in each.
    ///   - observer: receives the products and the residual stream.
    /// - Throws: when a token has no embedding.
    package init(
        _ model: DecoderModel, contexts: [[Int32]], precision: Precision, threads: Int,
        observer: (any PassObserver)? = nil
    ) throws(CheckpointError) {
        self.model = model
        self.observer = observer
        contextCount = contexts.count
        let length = contexts.first?.count ?? 0
        precondition(contexts.allSatisfy { $0.count == length }, "contexts of different lengths")
        contextLength = length
        let hidden = model.plan.hidden
        stateMemory = Scratch(floats: contextCount * contextLength * hidden)
        batch = LayerBatch(
            model, contextLength: contextLength, contextCount: contextCount, threads: threads)
        buffers = batch.buffers(usesBF16: precision == .bf16 && MatrixOperand.supportsBF16)
        try model.embed(contexts, into: states)
    }

    private init(_ other: ForwardPass, _ model: DecoderModel, layer: Int, observer: (any PassObserver)?) {
        precondition(model.shape.hidden == other.model.shape.hidden, "models of different widths")
        precondition(0...model.layers.count ~= layer, "no layer \(layer)")
        self.model = model
        self.observer = observer
        self.layer = layer
        contextCount = other.contextCount
        contextLength = other.contextLength
        if other.batch.suits(model) {
            batch = other.batch
            buffers = other.buffers
        } else {
            batch = LayerBatch(
                model, contextLength: contextLength, contextCount: contextCount,
                threads: other.buffers.linear.threads)
            buffers = batch.buffers(usesBF16: other.buffers.bf16 != nil)
        }
        let count = contextCount * contextLength * model.shape.hidden
        stateMemory = Scratch(floats: count)
        stateMemory.floats.update(from: other.states, count: count)
    }

    /// A pass that continues from these states at a later layer, as if the layers between were cut.
    ///
    /// It may share the memory of a layer with this one, so only one of them may run at a time.
    package func fork(continuingAt layer: Int) -> ForwardPass { fork(continuingAt: layer, with: model) }

    /// A pass that continues from these states at a layer of another model of the same width, such as this one with
    /// other weights.
    ///
    /// It may share the memory of a layer with this one, so only one of them may run at a time.
    package func fork(
        continuingAt layer: Int, with model: DecoderModel, observer: (any PassObserver)? = nil
    ) -> ForwardPass {
        ForwardPass(self, model, layer: layer, observer: observer)
    }

    /// Runs the next layer over all contexts.
    ///
    /// - Precondition: `layer` is below the number of layers.
    /// - Throws: what the observer throws, too.
    package func advance() throws(CheckpointError) {
        let width = model.shape.hidden
        for first in stride(from: 0, to: contextCount, by: batch.contexts) {
            let contexts = min(batch.contexts, contextCount - first)
            let tokens = first * contextLength..<(first + contexts) * contextLength
            let part = states + tokens.lowerBound * width
            try batch.run(
                model.layers[layer], states: part, contexts: contexts, buffers,
                LayerObservation(observer: observer, layer: layer, tokens: tokens))
            if layer + 1 == model.layers.count {
                let end = LayerObservation(observer: observer, layer: layer + 1, tokens: tokens)
                try end.stream(part, columns: width)
            }
        }
        layer += 1
    }
}
