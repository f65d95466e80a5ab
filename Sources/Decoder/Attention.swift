internal import CKernels
internal import Checkpoints
internal import Kernels
internal import Parallel

/// The sizes of causal attention with grouped heads.
struct AttentionShape: Sendable, Equatable {
    /// Query heads.
    let heads: Int
    /// Key and value heads; each serves `heads / keyHeads` neighbouring query heads.
    let keyHeads: Int
    /// Elements of a head.
    let headSize: Int
    /// How many positions a token sees, its own included; `nil` without a limit.
    let window: Int?
    /// The factor of the scores before softmax.
    let scale: Float
    /// The soft cap of the scores, `cap * tanh(scale * score / cap)`; `nil` without one.
    let cap: Float?

    /// Columns of the queries.
    var queryWidth: Int { heads * headSize }
    /// Columns of the keys and of the values.
    var keyWidth: Int { keyHeads * headSize }

    /// The sizes of a plan.
    init(_ plan: AttentionPlan) {
        heads = plan.heads
        keyHeads = plan.keyHeads
        headSize = plan.headSize
        window = plan.window
        scale = plan.scale
        cap = plan.cap
    }

    /// Turns scores into probabilities.
    func softmax(_ scores: UnsafeMutablePointer<Float>, count: Int) {
        if let cap { resect_soft_cap(scores, count, scale, cap) }
        resect_softmax(scores, count, cap == nil ? scale : 1)
    }
}

/// The work buffers of attention, one of each per thread.
struct AttentionBuffers: Sendable {
    /// Keys of one head transposed to [head size, context], and the scores of a block of queries.
    let transposedKeys, scores: [Scratch]

    init(headSize: Int, contextLength: Int, threads: Int) {
        let padded = Attention.padded(contextLength)
        transposedKeys = (0..<max(1, threads)).map { _ in Scratch(floats: headSize * padded) }
        scores = (0..<max(1, threads)).map { _ in Scratch(floats: Attention.block * padded) }
    }
}

/// Causal attention with grouped heads: `softmax(scale q k') v`, each token over itself and those before it.
struct Attention {
    let shape: AttentionShape
    let contextLength: Int
    let buffers: AttentionBuffers
    let threads: Int

    /// Queries are taken in blocks of this many, so that scores beyond a block's last key are never computed.
    static let block = 64

    static func padded(_ count: Int) -> Int {
        (count + RowPanel.width - 1) / RowPanel.width * RowPanel.width
    }

    /// Computes the attention output of each context.
    ///
    /// - Parameters:
    ///   - query: [contexts, contextLength, heads, headSize]; `output` has the same shape.
    ///   - key: [contexts, contextLength, keyHeads, headSize]; `value` has the same shape.
    func run(
        query: UnsafeMutablePointer<Float>, key: UnsafeMutablePointer<Float>,
        value: UnsafeMutablePointer<Float>, output: UnsafeMutablePointer<Float>, contexts: Int
    ) {
        nonisolated(unsafe) let (query, key, value, output) = (query, key, value, output)
        let (wide, narrow, headSize) = (shape.queryWidth, shape.keyWidth, shape.headSize)
        let group = shape.heads / shape.keyHeads
        Parallel.forEach(contexts * shape.keyHeads, workers: threads) { index, worker in
            let (context, head) = (index / shape.keyHeads, index % shape.keyHeads)
            let first = context * contextLength
            UnsafePointer(key + first * narrow + head * headSize).withMemoryRebound(
                to: UInt32.self, capacity: contextLength * narrow - head * headSize
            ) {
                resect_transpose(
                    $0, contextLength, headSize, narrow, buffers.transposedKeys[worker].words,
                    Attention.padded(contextLength))
            }
            let memory = HeadMemory(
                transposedKeys: buffers.transposedKeys[worker].floats, keyStride: Attention.padded(contextLength),
                values: value + first * narrow + head * headSize, valueStride: narrow)
            for member in head * group..<(head + 1) * group {
                let offset = first * wide + member * headSize
                Attention.attend(
                    query + offset, rows: contextLength, from: 0, to: memory, shape, output: output + offset,
                    scores: buffers.scores[worker].floats)
            }
        }
    }

    /// The keys and the values of one head of one context.
    struct HeadMemory {
        /// [head size, keyStride]; the stride is a multiple of a panel's width.
        let transposedKeys: UnsafePointer<Float>
        let keyStride: Int
        /// [positions, head size]; rows lie `valueStride` apart.
        let values: UnsafePointer<Float>
        let valueStride: Int
    }

    /// One head of one context, for queries at the positions from `first` on.
    ///
    /// - Parameter scores: room for `block` rows of as many positions as there are, padded.
    static func attend(
        _ query: UnsafePointer<Float>, rows: Int, from first: Int, to memory: HeadMemory, _ shape: AttentionShape,
        output: UnsafeMutablePointer<Float>, scores: UnsafeMutablePointer<Float>
    ) {
        let (wide, padded) = (shape.queryWidth, Attention.padded(first + rows))
        let (headSize, window) = (shape.headSize, shape.window ?? Int.max)
        let level = InstructionSet.best.rawValue
        for start in stride(from: 0, to: rows, by: Attention.block) {
            let end = min(start + Attention.block, rows)
            var product = resect_matmul_shape(
                m: end - start, n: first + end, k: headSize, a_stride: wide, b_stride: memory.keyStride,
                c_stride: padded, accumulate: 0)
            resect_matmul_f32(&product, query + start * wide, memory.transposedKeys, scores, level)
            for token in first + start..<first + end {
                let row = scores + (token - first - start) * padded
                let oldest = window > token ? 0 : token - window + 1
                row.update(repeating: 0, count: oldest)
                shape.softmax(row + oldest, count: token + 1 - oldest)
                (row + token + 1).update(repeating: 0, count: first + end - token - 1)
            }
            product = resect_matmul_shape(
                m: end - start, n: headSize, k: first + end, a_stride: padded, b_stride: memory.valueStride,
                c_stride: wide, accumulate: 0)
            resect_matmul_f32(&product, scores, memory.values, output + start * wide, level)
        }
    }
}
