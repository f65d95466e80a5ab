internal import CKernels
package import Checkpoints
internal import Kernels
internal import Parallel
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
        /// bf16 weights by the CPU's bf16 instructions, with activations rounded to bf16; everything else in f32.
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
    private let stateMemory: Scratch
    private let batch: LayerBatch

    /// The hidden states before `layer`, [contextCount * contextLength, hidden].
    package var states: UnsafeMutablePointer<Float> { stateMemory.floats }

    /// Looks up the embeddings of some contexts.
    ///
    /// - Parameter contexts: tokens, the same number in each.
    /// - Throws: when a token has no embedding.
    package init(
        _ model: DecoderModel, contexts: [[Int32]], precision: Precision, threads: Int
    ) throws(CheckpointError) {
        self.model = model
        contextCount = contexts.count
        let length = contexts.first?.count ?? 0
        precondition(contexts.allSatisfy { $0.count == length }, "contexts of different lengths")
        contextLength = length
        let hidden = model.configuration.hidden
        stateMemory = Scratch(floats: contextCount * contextLength * hidden)
        batch = LayerBatch(
            model, contextLength: contextLength, contextCount: contextCount,
            packs: precision == .bf16 && MatrixOperand.supportsBF16, threads: threads)
        for (place, token) in contexts.joined().enumerated() {
            guard token >= 0, Int(token) < model.vocabularyCount else {
                throw CheckpointError(
                    file: model.checkpoint.path, tensor: model.embedding.name,
                    "has \(model.vocabularyCount.grouped) rows; the tokenizer made the token \(token)")
            }
            try model.embedding.writeValues(rows: Int(token)..<Int(token) + 1, into: states + place * hidden)
        }
    }

    private init(_ other: ForwardPass, layer: Int) {
        model = other.model
        contextCount = other.contextCount
        contextLength = other.contextLength
        batch = other.batch
        self.layer = layer
        let count = contextCount * contextLength * model.configuration.hidden
        stateMemory = Scratch(floats: count)
        stateMemory.floats.update(from: other.states, count: count)
    }

    /// A pass that goes on from these states at a later layer, as if the layers between were cut.
    ///
    /// It shares the memory of a layer with this one, so only one of them may run at a time.
    package func fork(continuingAt layer: Int) -> ForwardPass { ForwardPass(self, layer: layer) }

    /// Runs the next layer over all contexts.
    ///
    /// - Precondition: `layer` is below the number of layers.
    package func advance() throws(CheckpointError) {
        for first in stride(from: 0, to: contextCount, by: batch.contexts) {
            let contexts = min(batch.contexts, contextCount - first)
            try batch.run(
                model.layers[layer], states: states + first * contextLength * model.configuration.hidden,
                contexts: contexts)
        }
        layer += 1
    }
}
