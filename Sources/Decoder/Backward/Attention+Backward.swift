internal import CKernels
internal import Kernels
internal import Parallel

/// The work buffers of attention's backward pass, one of each per thread.
struct AttentionBackwardBuffers: Sendable {
    /// Keys and values of one head transposed to [head size, context].
    let transposedKeys, transposedValues: [Scratch]
    /// Probabilities of a block of queries and their gradients, and one of them transposed to [context, block].
    let probabilities, gradients, transposed: [Scratch]

    init(headSize: Int, contextLength: Int, threads: Int) {
        let padded = Attention.padded(contextLength)
        func make(_ floats: Int) -> [Scratch] { (0..<max(1, threads)).map { _ in Scratch(floats: floats) } }
        transposedKeys = make(headSize * padded)
        transposedValues = make(headSize * padded)
        probabilities = make(Attention.block * padded)
        gradients = make(Attention.block * padded)
        transposed = make(Attention.block * padded)
    }
}

/// The backward pass of causal attention. Probabilities are computed again, a block of queries at a time.
struct AttentionBackward {
    let shape: AttentionShape
    let contextLength: Int
    let buffers: AttentionBackwardBuffers
    let threads: Int

    /// Queries, keys and values, or the gradients with respect to them: [contexts, contextLength, heads, headSize].
    struct Rows: @unchecked Sendable {
        let query, key, value: UnsafeMutablePointer<Float>
    }

    /// Writes the gradients with respect to queries, keys and values.
    ///
    /// One thread computes a key head of a context with all its query heads, so that every sum has a fixed order.
    ///
    /// - Parameter gradient: the gradient with respect to the output, [contexts, contextLength, heads, headSize].
    func run(_ input: Rows, gradient: UnsafePointer<Float>, into output: Rows, contexts: Int) {
        nonisolated(unsafe) let gradient = gradient
        let (wide, narrow, headSize) = (shape.queryWidth, shape.keyWidth, shape.headSize)
        let group = shape.heads / shape.keyHeads
        Parallel.forEach(contexts * shape.keyHeads, workers: threads) { index, worker in
            let (context, head) = (index / shape.keyHeads, index % shape.keyHeads)
            let first = context * contextLength * narrow + head * headSize
            transpose(input.key + first, into: buffers.transposedKeys[worker])
            transpose(input.value + first, into: buffers.transposedValues[worker])
            for token in 0..<contextLength {
                (output.key + first + token * narrow).update(repeating: 0, count: headSize)
                (output.value + first + token * narrow).update(repeating: 0, count: headSize)
            }
            for member in head * group..<(head + 1) * group {
                let offset = context * contextLength * wide + member * headSize
                for start in stride(from: 0, to: contextLength, by: Attention.block) {
                    let block = Block(
                        queries: start..<min(start + Attention.block, contextLength), query: input.query + offset,
                        gradient: gradient + offset, queryGradient: output.query + offset, key: input.key + first,
                        keyGradient: output.key + first, valueGradient: output.value + first)
                    run(block, worker)
                }
            }
        }
    }

    /// Some queries of one head of one context.
    private struct Block {
        let queries: Range<Int>
        let query, gradient: UnsafePointer<Float>
        let queryGradient: UnsafeMutablePointer<Float>
        let key: UnsafePointer<Float>
        let keyGradient, valueGradient: UnsafeMutablePointer<Float>
    }

    /// `P = softmax(scale q k')`; `dP = do v'`; `dS = scale P (dP - sum of P dP over the row)`, element by element;
    /// `dq = dS k`; `dk += dS' q`; `dv += P' do`.
    private func run(_ block: Block, _ worker: Int) {
        let (wide, narrow, padded) = (shape.queryWidth, shape.keyWidth, Attention.padded(contextLength))
        let (start, count, end) = (block.queries.lowerBound, block.queries.count, block.queries.upperBound)
        let (headSize, window) = (shape.headSize, shape.window ?? Int.max)
        let probabilities = buffers.probabilities[worker].floats, gradients = buffers.gradients[worker].floats
        let query = block.query + start * wide, gradient = block.gradient + start * wide
        multiply(
            (query, wide), (UnsafePointer(buffers.transposedKeys[worker].floats), padded), (probabilities, padded),
            sizes: (count, end, headSize))
        multiply(
            (gradient, wide), (UnsafePointer(buffers.transposedValues[worker].floats), padded), (gradients, padded),
            sizes: (count, end, headSize))
        for token in block.queries {
            let row = (token - start) * padded
            let oldest = window > token ? 0 : token - window + 1
            let seen = token + 1 - oldest
            for values in [probabilities + row, gradients + row] {
                values.update(repeating: 0, count: oldest)
                (values + token + 1).update(repeating: 0, count: end - token - 1)
            }
            softmaxBackward(probabilities + row + oldest, gradients + row + oldest, seen, worker)
        }
        multiply(
            (UnsafePointer(gradients), padded), (block.key, narrow), (block.queryGradient + start * wide, wide),
            sizes: (count, headSize, end))
        let transposed = buffers.transposed[worker]
        for (values, right, output) in [
            (probabilities, gradient, block.valueGradient), (gradients, query, block.keyGradient),
        ] {
            values.withMemoryRebound(to: UInt32.self, capacity: count * padded) {
                resect_transpose($0, count, end, padded, transposed.words, Attention.block)
            }
            multiply(
                (UnsafePointer(transposed.floats), Attention.block), (right, wide), (output, narrow),
                sizes: (end, headSize, count), accumulates: true)
        }
    }

    /// Turns scores into probabilities, and the gradient with respect to these into that with respect to the scores.
    private func softmaxBackward(
        _ scores: UnsafeMutablePointer<Float>, _ gradient: UnsafeMutablePointer<Float>, _ count: Int, _ worker: Int
    ) {
        guard let cap = shape.cap else {
            resect_softmax(scores, count, shape.scale)
            resect_softmax_backward(scores, gradient, count, shape.scale)
            return
        }
        // The buffer of the transposed block is free: it is written later.
        let capped = buffers.transposed[worker].floats
        resect_soft_cap(scores, count, shape.scale, cap)
        capped.update(from: scores, count: count)
        resect_softmax(scores, count, 1)
        resect_softmax_backward(scores, gradient, count, 1)
        resect_soft_cap_backward(gradient, capped, count, shape.scale, cap)
    }

    private func transpose(_ rows: UnsafePointer<Float>, into output: Scratch) {
        rows.withMemoryRebound(to: UInt32.self, capacity: 1) {
            resect_transpose(
                $0, contextLength, shape.headSize, shape.keyWidth, output.words, Attention.padded(contextLength))
        }
    }

    /// `output = left right`, with sizes of rows, columns and terms; each matrix with the stride of its rows.
    private func multiply(
        _ left: (UnsafePointer<Float>, Int), _ right: (UnsafePointer<Float>, Int),
        _ output: (UnsafeMutablePointer<Float>, Int), sizes: (Int, Int, Int), accumulates: Bool = false
    ) {
        var product = resect_matmul_shape(
            m: sizes.0, n: sizes.1, k: sizes.2, a_stride: left.1, b_stride: right.1, c_stride: output.1,
            accumulate: accumulates ? 1 : 0)
        resect_matmul_f32(&product, left.0, right.0, output.0, InstructionSet.best.rawValue)
    }
}
