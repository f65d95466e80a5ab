internal import CKernels
internal import Checkpoints
internal import Kernels
internal import Parallel

/// Causal attention with grouped heads: `softmax(q k' / sqrt(head size)) v`, each token over itself and those before it.
struct Attention {
    private let heads, keyValueHeads, headSize, contextLength, window, threads: Int
    /// Keys of one head turned to [head size, context], and the scores of a block of queries, for each worker.
    private let turned, scores: [Scratch]

    /// Queries are taken in blocks of this many, so that scores beyond a block's last key are never computed.
    private static let block = 64

    init(_ numbers: ModelConfiguration, contextLength: Int, threads: Int) {
        heads = numbers.heads
        keyValueHeads = numbers.keyValueHeads
        headSize = numbers.headSize
        window = numbers.window ?? Int.max
        self.contextLength = contextLength
        self.threads = threads
        let (size, padded) = (headSize, Attention.padded(contextLength))
        turned = (0..<max(1, threads)).map { _ in Scratch(floats: size * padded) }
        scores = (0..<max(1, threads)).map { _ in Scratch(floats: Attention.block * padded) }
    }

    private static func padded(_ count: Int) -> Int {
        (count + RowPanel.width - 1) / RowPanel.width * RowPanel.width
    }

    /// Mixes the values of each context.
    ///
    /// - Parameters:
    ///   - query: [contexts, contextLength, heads, headSize]; the output too.
    ///   - key: [contexts, contextLength, keyValueHeads, headSize]; the values too.
    func run(
        query: UnsafeMutablePointer<Float>, key: UnsafeMutablePointer<Float>,
        value: UnsafeMutablePointer<Float>, output: UnsafeMutablePointer<Float>, contexts: Int
    ) {
        nonisolated(unsafe) let (query, key, value, output) = (query, key, value, output)
        let (wide, narrow) = (heads * headSize, keyValueHeads * headSize)
        let group = heads / keyValueHeads
        Parallel.forEach(contexts * keyValueHeads, workers: threads) { index, worker in
            let (context, head) = (index / keyValueHeads, index % keyValueHeads)
            let first = context * contextLength
            UnsafePointer(key + first * narrow + head * headSize).withMemoryRebound(
                to: UInt32.self, capacity: contextLength * narrow - head * headSize
            ) {
                resect_transpose(
                    $0, contextLength, headSize, narrow, turned[worker].words, Attention.padded(contextLength))
            }
            for member in head * group..<(head + 1) * group {
                let place = first * wide + member * headSize
                attend(
                    query + place, value: value + first * narrow + head * headSize, output: output + place,
                    worker: worker)
            }
        }
    }

    /// One head of one context.
    private func attend(
        _ query: UnsafeMutablePointer<Float>, value: UnsafeMutablePointer<Float>,
        output: UnsafeMutablePointer<Float>, worker: Int
    ) {
        let (wide, narrow, padded) = (heads * headSize, keyValueHeads * headSize, Attention.padded(contextLength))
        let level = InstructionSet.best.rawValue
        let scores = scores[worker].floats
        let scale = 1 / Float(headSize).squareRoot()
        for start in stride(from: 0, to: contextLength, by: Attention.block) {
            let end = min(start + Attention.block, contextLength)
            var product = resect_matmul_shape(
                m: end - start, n: end, k: headSize, a_stride: wide, b_stride: padded, c_stride: padded,
                accumulate: 0)
            resect_matmul_f32(&product, query + start * wide, turned[worker].floats, scores, level)
            for token in start..<end {
                let row = scores + (token - start) * padded
                let oldest = window > token ? 0 : token - window + 1
                row.update(repeating: 0, count: oldest)
                resect_softmax(row + oldest, token + 1 - oldest, scale)
                (row + token + 1).update(repeating: 0, count: end - token - 1)
            }
            product = resect_matmul_shape(
                m: end - start, n: headSize, k: end, a_stride: padded, b_stride: narrow, c_stride: wide,
                accumulate: 0)
            resect_matmul_f32(&product, scores, value, output + start * wide, level)
        }
    }
}
