internal import Analysis
internal import Checkpoints
internal import Surgery

/// Chooses the run of layers to cut: the nearest runs are candidates, and their measured losses decide.
struct RunChooser {
    let checkpoint: Checkpoint
    let common: CommonOptions

    /// The number of contexts on which candidates are measured.
    static let lossContexts = 8

    /// The nearest runs of a size that can be cut; prints a note when the nearest run cannot.
    func candidates(
        _ similarity: Similarity, size: Int, overAllTokens: Bool, includesLast: Bool
    ) throws -> [LayerRun] {
        let found = try similarity.candidates(
            size: size, overAllTokens: overAllTokens, includesLast: includesLast
        ) { (layers) throws(CheckpointError) in
            _ = try CutLayers(layers: layers).apply(to: checkpoint)
        }
        guard let found else {
            throw CheckpointError(
                file: checkpoint.path, "no run of \(size) of \(similarity.layers) layers leaves the last layer",
                hint: "--include-last lets a run include it")
        }
        if let best = found.runs.first, best != found.nearest {
            common.note(
                "the nearest run \(found.nearest.layers.text) (distance \(found.nearest.distance.fixed(4))) cannot be cut; "
                    + "the nearest that can is \(best.layers.text) (\(best.distance.fixed(4)))")
        }
        return found.runs
    }

    /// Measures the loss without each candidate.
    func measure(_ candidates: [LayerRun], corpus: Corpus, run: RunOptions) throws -> RunLoss {
        let progress = Progress("measure", unit: .layers, quiet: common.quiet)
        let loss = try RunLoss.measure(
            candidates, of: checkpoint, corpus: corpus, run: run, progress: { progress.report($0, $1) })
        progress.finish()
        return loss
    }

    /// Measures the distances.
    func similarity(_ corpus: Corpus, overAllTokens: Bool, run: RunOptions) throws -> Similarity {
        let progress = Progress("analyze", unit: .layers, quiet: common.quiet)
        let similarity = try Similarity.measure(
            checkpoint, corpus: corpus, overAllTokens: overAllTokens, run: run,
            progress: { progress.report($0, $1) })
        progress.finish()
        return similarity
    }
}
