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

    /// Columns of the queries.
    var queryWidth: Int { heads * headSize }
    /// Columns of the keys and of the values.
    var keyWidth: Int { keyHeads * headSize }

    /// The sizes of a plan, with scores divided by the root of a head's size.
    init(_ plan: AttentionPlan) {
        heads = plan.heads
        keyHeads = plan.keyHeads
        headSize = plan.headSize
        window = plan.window
        scale = 1 / Float(plan.headSize).squareRoot()
    }
}

/// What attention needs on each thread.
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
    fileprivate static let block = 64

    fileprivate static func padded(_ count: Int) -> Int {
        (count + RowPanel.width - 1) / RowPanel.width * RowPanel.width
    }

    /// Mixes the values of each context.
    ///
    /// - Parameters:
    ///   - query: [contexts, contextLength, heads, headSize]; the output too.
    ///   - key: [contexts, contextLength, keyHeads, headSize]; the values too.
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
            for member in head * group..<(head + 1) * group {
                let offset = first * wide + member * headSize
                attend(
                    query + offset, value: value + first * narrow + head * headSize, output: output + offset,
                    worker: worker)
            }
        }
    }

    /// One head of one context.
    private func attend(
        _ query: UnsafeMutablePointer<Float>, value: UnsafeMutablePointer<Float>,
        output: UnsafeMutablePointer<Float>, worker: Int
    ) {
        let (wide, narrow, padded) = (shape.queryWidth, shape.keyWidth, Attention.padded(contextLength))
        let (headSize, window) = (shape.headSize, shape.window ?? Int.max)
        let level = InstructionSet.best.rawValue
        let scores = buffers.scores[worker].floats
        for start in stride(from: 0, to: contextLength, by: Attention.block) {
            let end = min(start + Attention.block, contextLength)
            var product = resect_matmul_shape(
                m: end - start, n: end, k: headSize, a_stride: wide, b_stride: padded, c_stride: padded,
                accumulate: 0)
            resect_matmul_f32(&product, query + start * wide, buffers.transposedKeys[worker].floats, scores, level)
            for token in start..<end {
                let row = scores + (token - start) * padded
                let oldest = window > token ? 0 : token - window + 1
                row.update(repeating: 0, count: oldest)
                resect_softmax(row + oldest, token + 1 - oldest, shape.scale)
                (row + token + 1).update(repeating: 0, count: end - token - 1)
            }
            product = resect_matmul_shape(
                m: end - start, n: headSize, k: end, a_stride: padded, b_stride: narrow, c_stride: wide,
                accumulate: 0)
            resect_matmul_f32(&product, scores, value, output + start * wide, level)
        }
    }
}
