internal import Analysis
internal import Checkpoints
internal import Surgery

/// Chooses the block to cut: the nearest ones are candidates, and the measured loss of each decides.
struct BlockChooser {
    let checkpoint: Checkpoint
    let common: CommonOptions

    /// How many of the nearest blocks are measured.
    private static let candidateCount = 5
    /// Contexts on which they are measured.
    static let lossContexts = 8

    /// The blocks of a size that can be cut at all, the nearest first.
    ///
    /// Some architectures allow only some blocks; what that costs is said.
    func candidates(
        _ similarity: Similarity, size: Int, overAllTokens: Bool, includesLast: Bool
    ) throws -> [Block] {
        let blocks = similarity.nearestBlocks(size: size, overAllTokens: overAllTokens, includesLast: includesLast)
        guard let nearest = blocks.first else {
            throw CheckpointError(
                file: checkpoint.path, "no block of \(size) of \(similarity.layers) layers leaves the last layer",
                hint: "--include-last lets blocks reach it")
        }
        var refusal: CheckpointError?
        let possible = blocks.filter { block in
            do throws(CheckpointError) {
                _ = try CutLayers(layers: block.layers).apply(to: checkpoint)
                return true
            } catch {
                refusal = refusal ?? error
                return false
            }
        }
        if let refusal, possible.isEmpty { throw refusal }
        if let best = possible.first, best != nearest {
            common.note(
                "the nearest block \(nearest.layers.text) (distance \(nearest.distance.fixed(4))) cannot be cut; "
                    + "the nearest that can is \(best.layers.text) (\(best.distance.fixed(4)))")
        }
        return Array(possible.prefix(BlockChooser.candidateCount))
    }

    /// Measures what each candidate costs.
    func measure(_ candidates: [Block], corpus: Corpus, run: RunOptions) throws -> BlockLoss {
        let progress = Progress("measure", unit: .layers, quiet: common.quiet)
        let loss = try BlockLoss.measure(
            candidates, of: checkpoint, corpus: corpus, run: run, progress: { progress.report($0, $1) })
        progress.finish()
        return loss
    }

    /// Measures the distances.
    func similarity(_ corpus: Corpus, _ samples: SampleOptions, run: RunOptions) throws -> Similarity {
        let progress = Progress("analyze", unit: .layers, quiet: common.quiet)
        let similarity = try Similarity.measure(
            checkpoint, corpus: corpus, overAllTokens: samples.tokens == .all, run: run,
            progress: { progress.report($0, $1) })
        progress.finish()
        return similarity
    }

    /// In words: `drops layers 21 to 28 (8 of 32)`.
    static func words(_ layers: Range<Int>, of count: Int) -> String {
        let which =
            layers.count == 1
            ? "layer \(layers.lowerBound)" : "layers \(layers.lowerBound) to \(layers.upperBound - 1)"
        return "drops \(which) (\(layers.count) of \(count))"
    }
}
