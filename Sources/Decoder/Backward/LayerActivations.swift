internal import Kernels

/// What the forward pass of a layer leaves for its backward pass.
struct LayerActivations: Sendable {
    /// The stream before the layer, [tokens, hidden].
    let input: Scratch
    /// The stream between attention and MLP, [tokens, hidden].
    let middle: Scratch
    /// Queries, keys, values, the outputs of the attention heads, and the MLP's products before its activation.
    let buffers: LayerBuffers
    /// Whether all but the input is shared with other layers, so that it has to be computed again.
    let isShared: Bool

    /// Bytes per token that a layer keeps for itself, without the input.
    static func tokenByteCount(_ shape: LayerShape) -> Int {
        4 * (shape.hidden + 2 * shape.queryWidth + 2 * shape.keyWidth + 2 * shape.feedForward)
    }

    /// Activations for all layers of a model. The last layers keep their own, as many as fit `memory` bytes; the layers
    /// before them share one set.
    static func make(_ batch: LayerBatch, layers: Int, memory: Int) -> [LayerActivations] {
        let shape = batch.shape, tokens = batch.contexts * batch.contextLength
        let kept = min(layers, memory / max(1, tokens * tokenByteCount(shape)))
        let shared = batch.buffers(usesBF16: false, keepsGate: true)
        let middle = Scratch(floats: tokens * shape.hidden)
        return (0..<layers).map { layer in
            let isShared = layer < layers - kept
            return LayerActivations(
                input: Scratch(floats: tokens * shape.hidden),
                middle: isShared ? middle : Scratch(floats: tokens * shape.hidden),
                buffers: isShared ? shared : LayerBuffers(shape, tokens: tokens, sharing: shared), isShared: isShared)
        }
    }
}
