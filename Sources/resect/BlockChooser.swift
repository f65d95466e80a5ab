internal import Analysis
internal import Checkpoints
internal import Surgery

/// Chooses the block to cut: the nearest ones are candidates, and the measured loss of each decides.
struct BlockChooser {
    let checkpoint: Checkpoint
    let common: CommonOptions

    /// Contexts on which candidates are measured.
    static let lossContexts = 8

    /// The nearest blocks of a size that can be cut at all; says so when the nearest one cannot.
    func candidates(
        _ similarity: Similarity, size: Int, overAllTokens: Bool, includesLast: Bool
    ) throws -> [Block] {
        let found = try similarity.candidates(
            size: size, overAllTokens: overAllTokens, includesLast: includesLast
        ) { (layers) throws(CheckpointError) in
            _ = try CutLayers(layers: layers).apply(to: checkpoint)
        }
        guard let found else {
            throw CheckpointError(
                file: checkpoint.path, "no block of \(size) of \(similarity.layers) layers leaves the last layer",
                hint: "--include-last lets blocks reach it")
        }
        if let best = found.blocks.first, best != found.nearest {
            common.note(
                "the nearest block \(found.nearest.layers.text) (distance \(found.nearest.distance.fixed(4))) cannot be cut; "
                    + "the nearest that can is \(best.layers.text) (\(best.distance.fixed(4)))")
        }
        return found.blocks
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
}
