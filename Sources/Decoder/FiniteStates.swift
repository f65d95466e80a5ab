package import Checkpoints
internal import Kernels

/// Stops a pass at the first layer that leaves NaN or infinity in the residual stream.
package struct FiniteStates: PassObserver {
    private let file: String
    private let contextLength: Int
    private let firstContext: Int

    /// A check of a pass.
    ///
    /// - Parameters:
    ///   - model: the model, for the message.
    ///   - firstContext: the number of the pass's first context in the text.
    package init(_ model: DecoderModel, contextLength: Int, firstContext: Int = 0) {
        file = model.checkpoint.path
        self.contextLength = contextLength
        self.firstContext = firstContext
    }

    /// Looks at every value.
    package func stream(_ rows: ObservedRows, before layer: Int) throws(CheckpointError) {
        let count = rows.tokens.count * rows.columns
        let largest = Float.greatestFiniteMagnitude
        guard let index = Codec.firstBeyond(largest, in: rows.values, count: count) else { return }
        let token = rows.tokens[index / rows.columns]
        let source = layer == 0 ? "the embedding" : "layer \(layer - 1)"
        throw CheckpointError(
            file: file,
            "\(source) computes NaN or infinity, first for token \(token % contextLength) of context "
                + "\(firstContext + token / contextLength)",
            hint: "a weight is NaN or infinite, or the values leave the range of f32")
    }
}
