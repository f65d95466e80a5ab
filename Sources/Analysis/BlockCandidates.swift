public import Checkpoints

/// Blocks that can be cut, for `BlockLoss` to measure.
public struct BlockCandidates: Sendable {
    /// The nearest block of all, whether it can be cut or not.
    public let nearest: Block
    /// The nearest blocks that can be cut, the nearest first; never empty.
    public let blocks: [Block]
}

extension Similarity {
    /// Finds the nearest blocks of a size that can be cut. Some architectures allow only some blocks.
    ///
    ///     let candidates = try similarity.candidates(size: 8) { (layers) throws(CheckpointError) in
    ///         _ = try CutLayers(layers: layers).apply(to: checkpoint)
    ///     }
    ///     let loss = try BlockLoss.measure(candidates?.blocks ?? [], of: checkpoint, corpus: corpus, run: run)
    ///
    /// - Parameters:
    ///   - size: layers in the block.
    ///   - overAllTokens: whether the mean over all tokens decides, where there is one.
    ///   - includesLast: whether the last layer may be cut too.
    ///   - limit: how many blocks are enough.
    ///   - check: tries to cut a block, and throws when the model cannot be without it.
    /// - Returns: `nil` when no block of the size leaves a layer, or the last layer where that must stay.
    /// - Throws: what `check` says of the nearest block, when no block can be cut.
    public func candidates(
        size: Int, overAllTokens: Bool = false, includesLast: Bool = false, limit: Int = 5,
        check: (_ layers: Range<Int>) throws(CheckpointError) -> Void
    ) throws(CheckpointError) -> BlockCandidates? {
        let blocks = nearestBlocks(size: size, overAllTokens: overAllTokens, includesLast: includesLast)
        guard let nearest = blocks.first else { return nil }
        var possible: [Block] = []
        var refusal: CheckpointError?
        for block in blocks where possible.count < limit {
            do throws(CheckpointError) {
                try check(block.layers)
                possible.append(block)
            } catch {
                refusal = refusal ?? error
            }
        }
        if let refusal, possible.isEmpty { throw refusal }
        return BlockCandidates(nearest: nearest, blocks: possible)
    }
}
