internal import Kernels
internal import Weights

/// The sizes that the memory of a layer depends on.
struct LayerShape: Sendable, Equatable {
    /// Columns of the stream.
    let hidden: Int
    let attention: AttentionShape
    /// Columns inside the MLP.
    let feedForward: Int

    /// Columns of the widest operand of a product.
    var widest: Int { max(hidden, attention.queryWidth, feedForward) }

    /// Bytes of activations for one token.
    var tokenByteCount: Int {
        4 * (hidden + 2 * attention.queryWidth + 2 * attention.keyWidth + 2 * feedForward) + 2 * widest
    }
}

/// The memory that a layer computes in. The caller owns it, so that what a layer left there can be kept.
struct LayerBuffers: Sendable {
    /// The normed stream, [tokens, hidden].
    let normed: Scratch
    /// Rotated queries and keys, values, and what attention mixes, each [tokens, columns].
    let query, key, value, mixed: Scratch
    /// Inside the MLP, [tokens, feedForward]; after the activation the product is in `gate`.
    let gate, up: Scratch
    /// Operands in bf16, where products by the CPU's bf16 instructions are wanted.
    let bf16: Scratch?
    let attention: AttentionBuffers
    let linear: LinearBuffers

    init(_ shape: LayerShape, contexts: Int, contextLength: Int, usesBF16: Bool, threads: Int) {
        let tokens = contexts * contextLength
        normed = Scratch(floats: tokens * shape.hidden)
        query = Scratch(floats: tokens * shape.attention.queryWidth)
        key = Scratch(floats: tokens * shape.attention.keyWidth)
        value = Scratch(floats: tokens * shape.attention.keyWidth)
        mixed = Scratch(floats: tokens * shape.attention.queryWidth)
        gate = Scratch(floats: tokens * shape.feedForward)
        up = Scratch(floats: tokens * shape.feedForward)
        bf16 = usesBF16 ? Scratch(byteCount: tokens * shape.widest * 2) : nil
        attention = AttentionBuffers(shape.attention, contextLength: contextLength, threads: threads)
        linear = LinearBuffers(threads: threads)
    }

    /// Rows of one of the buffers as an operand.
    func operand(_ values: Scratch, rows: Int, columns: Int) -> MatrixOperand {
        MatrixOperand(values.floats, rows: rows, columns: columns, packing: bf16, threads: linear.threads)
    }
}
