public import Checkpoints

/// Runs of layers that can be cut, for `RunLoss` to measure.
public struct RunCandidates: Sendable {
    /// The run with the least distance, whether it can be cut or not.
    public let nearest: LayerRun
    /// The runs that can be cut, by ascending distance; never empty.
    public let runs: [LayerRun]
}

extension Similarity {
    /// Finds the runs of a size with the least distances that can be cut. Some architectures allow only some runs.
    ///
    ///     let candidates = try similarity.candidates(size: 8) { (layers) throws(CheckpointError) in
    ///         _ = try CutLayers(layers: layers).apply(to: checkpoint)
    ///     }
    ///     let loss = try RunLoss.measure(candidates?.runs ?? [], of: checkpoint, corpus: corpus, run: run)
    ///
    /// - Parameters:
    ///   - size: the number of layers in a run.
    ///   - overAllTokens: whether to use the mean distance over all tokens, if measured.
    ///   - includesLast: whether a run may include the last layer.
    ///   - limit: the maximum number of runs.
    ///   - check: tries to cut a run; throws when it cannot be cut.
    /// - Returns: `nil` when every run of the size includes all layers, or the last one when that must stay.
    /// - Throws: the error of `check` for the nearest run, when no run can be cut.
    public func candidates(
        size: Int, overAllTokens: Bool = false, includesLast: Bool = false, limit: Int = 5,
        check: (_ layers: Range<Int>) throws(CheckpointError) -> Void
    ) throws(CheckpointError) -> RunCandidates? {
        let runs = nearestRuns(size: size, overAllTokens: overAllTokens, includesLast: includesLast)
        guard let nearest = runs.first else { return nil }
        var possible: [LayerRun] = []
        var refusal: CheckpointError?
        for candidate in runs where possible.count < limit {
            do throws(CheckpointError) {
                try check(candidate.layers)
                possible.append(candidate)
            } catch {
                refusal = refusal ?? error
            }
        }
        if let refusal, possible.isEmpty { throw refusal }
        return RunCandidates(nearest: nearest, runs: possible)
    }
}
