internal import CKernels
package import Checkpoints
internal import Kernels
internal import Parallel
internal import Weights

#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// How two models predict one token.
package struct TokenDivergence: Sendable {
    /// The KL divergence of the model from the reference, in nats: the sum of `p (log p - log q)` over the vocabulary,
    /// where p are the reference's probabilities and q the model's.
    package let divergence: Double
    /// The negative log-likelihood of the token that follows under the model, in nats.
    package let loss: Double
    /// The same under the reference.
    package let referenceLoss: Double
    /// Whether both find the same token most likely.
    package let agrees: Bool
}

extension ForwardPass {
    /// Compares the predictions of this model with those of another one that ran over the same contexts.
    ///
    /// One pass over the vocabulary is enough: `KL = sum of softmax(a) (a - b) - log sum exp a + log sum exp b`, with the
    /// reference's logits a and this model's b. Tiles are combined in their order, whatever the number of threads.
    ///
    /// - Parameters:
    ///   - targets: rows of `states`, each with the token that follows.
    ///   - vocabulary: the tokens that are compared; rows of the output matrices beyond them do not count.
    /// - Precondition: all layers of both have run.
    package func divergences(
        from reference: ForwardPass, of targets: [(index: Int, token: Int32)], vocabulary: Int, threads: Int
    ) throws(CheckpointError) -> [TokenDivergence] {
        precondition(layer == model.plan.layers.count && reference.layer == reference.model.plan.layers.count)
        precondition(vocabulary <= min(model.vocabularyCount, reference.model.vocabularyCount))
        let (rowsAtOnce, width) = (LogitMaker.rowsAtOnce, LogitMaker.tile)
        let makers = [reference, self].map { LogitMaker($0.model, threads: threads) }
        let tileCount = (vocabulary + width - 1) / width
        let workers = max(1, min(threads, tileCount))
        let logits = (0..<workers).map { _ in Scratch(floats: 2 * rowsAtOnce * width) }
        let sums = Scratch(byteCount: rowsAtOnce * tileCount * MemoryLayout<TilePart>.stride)
        nonisolated(unsafe) let parts = sums.base.assumingMemoryBound(to: TilePart.self)
        let hits = Scratch(floats: 2 * rowsAtOnce)
        var result: [TokenDivergence] = []
        for start in stride(from: 0, to: targets.count, by: rowsAtOnce) {
            let some = Array(targets[start..<min(start + rowsAtOnce, targets.count)])
            let indices = some.map(\.index)
            let first = try makers[0].product(reference.states, of: indices)
            let second = try makers[1].product(states, of: indices, observer: observer)
            try Parallel.forEach(tileCount, workers: workers) { (tile, worker) throws(CheckpointError) in
                let rows = tile * width..<min((tile + 1) * width, vocabulary)
                let (a, b) = (logits[worker].floats, logits[worker].floats + rowsAtOnce * width)
                for (product, maker, output) in [(first, makers[0], a), (second, makers[1], b)] {
                    try product.write(
                        rows, into: output, stride: width, panel: maker.buffers.panels[worker])
                }
                for (row, target) in some.enumerated() {
                    let (a, b) = (a + row * width, b + row * width)
                    parts[row * tileCount + tile] = TilePart(a, b, rows: rows)
                    guard rows.contains(Int(target.token)) else { continue }
                    hits.floats[2 * row] = a[Int(target.token) - rows.lowerBound]
                    hits.floats[2 * row + 1] = b[Int(target.token) - rows.lowerBound]
                }
            }
            for row in some.indices {
                let tiles = UnsafeBufferPointer(start: parts + row * tileCount, count: tileCount)
                result.append(TilePart.joined(tiles, hits: (hits.floats[2 * row], hits.floats[2 * row + 1])))
            }
        }
        return result
    }
}

/// The logits for one token in a tile of the vocabulary, reduced to sums and maxima: a of the reference and b of the model.
private struct TilePart {
    /// The logarithms of the sums of exponentials.
    let (a, b): (Double, Double)
    /// The sum of `softmax(a) (a - b)` inside the tile.
    let difference: Double
    /// The greatest logits, with their tokens.
    let (greatestA, greatestB): (Greatest, Greatest)

    struct Greatest {
        let logit: Float
        let token: Int

        init(_ logits: UnsafePointer<Float>, rows: Range<Int>) {
            let index = resect_index_of_greatest(logits, rows.count)
            (logit, token) = index < rows.count ? (logits[index], rows.lowerBound + index) : (-.infinity, -1)
        }
    }

    init(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, rows: Range<Int>) {
        (self.a, self.b) = (resect_log_sum_exp(a, rows.count), resect_log_sum_exp(b, rows.count))
        difference = resect_mean_difference(a, b, rows.count)
        (greatestA, greatestB) = (Greatest(a, rows: rows), Greatest(b, rows: rows))
    }

    /// The comparison over all tiles; `hits` are the logits of the token that follows.
    static func joined(_ tiles: UnsafeBufferPointer<TilePart>, hits: (a: Float, b: Float)) -> TokenDivergence {
        let (a, b) = (logSumExp(tiles.lazy.map(\.a)), logSumExp(tiles.lazy.map(\.b)))
        let mean = tiles.reduce(0) { sum, tile in
            let weight = exp(tile.a - a)
            return weight > 0 ? sum + weight * tile.difference : sum
        }
        func top(_ part: (TilePart) -> Greatest) -> Int {
            tiles.dropFirst().reduce(part(tiles[0])) { part($1).logit > $0.logit ? part($1) : $0 }.token
        }
        // Only rounding can make it negative.
        let divergence = mean - a + b
        return TokenDivergence(
            divergence: divergence < 0 ? 0 : divergence, loss: b - Double(hits.b), referenceLoss: a - Double(hits.a),
            agrees: top(\.greatestA) == top(\.greatestB))
    }
}
