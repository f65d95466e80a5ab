internal import Kernels

/// What the forward pass of a layer leaves for its backward pass.
struct LayerActivations: Sendable {
    /// The stream before the layer, [tokens, hidden].
    let input: Scratch
    /// The stream between attention and MLP, [tokens, hidden].
    let middle: Scratch
    /// Queries, keys, values, what attention mixes, and the MLP before its activation.
    let buffers: LayerBuffers
    /// Whether all but the input is shared with other layers, so that it has to be computed again.
    let isShared: Bool

    /// Bytes of a layer's own memory but for the input, for one token.
    static func tokenByteCount(_ shape: LayerShape) -> Int {
        4 * (shape.hidden + 2 * shape.queryWidth + 2 * shape.keyWidth + 2 * shape.feedForward)
    }

    /// Activations for all layers of a model. As many layers as fit into some bytes of memory keep them.
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
