public import Analysis
public import Checkpoints
internal import Surgery

/// Chooses the run of layers to cut: the nearest runs are candidates, and their measured losses decide.
public struct RunChooser: Sendable {
    /// The model, with weights that can be run.
    public let checkpoint: Checkpoint
    /// How it is run.
    public let run: RunOptions
    /// Receives progress and notes.
    public let work: Work

    /// How many runs are candidates.
    public var limit = standardLimit
    /// The number of contexts on which candidates are measured.
    public var lossContexts = standardContexts

    /// How many runs are candidates, and on how many contexts they are measured, unless it is set otherwise.
    public static let standardLimit = 5, standardContexts = 8

    /// A chooser for a model.
    public init(_ checkpoint: Checkpoint, run: RunOptions, work: Work = Work()) {
        self.checkpoint = checkpoint
        self.run = run
        self.work = work
    }

    /// The nearest runs of a size that can be cut, by ascending distance; makes a note when the nearest run cannot.
    ///
    /// - Throws: when no run of the size can be cut.
    public func candidates(
        _ similarity: Similarity, size: Int, overAllTokens: Bool = false, includesLast: Bool = false
    ) throws(CheckpointError) -> [LayerRun] {
        let found = try similarity.candidates(
            size: size, overAllTokens: overAllTokens, includesLast: includesLast, limit: limit
        ) { (layers) throws(CheckpointError) in
            _ = try CutLayers(layers: layers).apply(to: checkpoint)
        }
        guard let found else {
            throw CheckpointError(
                file: checkpoint.path, "no run of \(size) of \(similarity.layers) layers leaves the last layer",
                hint: "--include-last lets a run include it")
        }
        if let best = found.runs.first, best != found.nearest {
            let (nearest, taken) = (LayerRuns([found.nearest.layers]), LayerRuns([best.layers]))
            work.note(
                "the nearest run \(nearest.texts[0]) (distance \(found.nearest.distance.fixed(4))) cannot be cut; "
                    + "the nearest that can is \(taken.texts[0]) (\(best.distance.fixed(4)))")
        }
        return found.runs
    }

    /// Measures the loss without each candidate.
    public func measure(_ candidates: [LayerRun], corpus: Corpus) throws(CheckpointError) -> RunLoss {
        let layers = max(1, checkpoint.layerCount)
        let passed = candidates.reduce(layers) { $0 + layers - $1.layers.upperBound }
        let tokens = corpus.tokenCount * Double(passed) / Double(layers)
        return try work.run(.measure, tokens: tokens) { (progress) throws(CheckpointError) in
            try work.measured(
                ["losses", "\(candidates.map(\.layers))", "\(run.precision)", corpus.identity],
                read: { RunLoss(kept: $0, of: candidates) }, write: \.kept
            ) { () throws(CheckpointError) in
                try RunLoss.measure(candidates, of: checkpoint, corpus: corpus, run: run, progress: progress)
            }
        }.result
    }

    /// Measures the distances.
    public func similarity(_ corpus: Corpus, overAllTokens: Bool = false) throws(CheckpointError) -> Similarity {
        try work.run(.analyze, tokens: corpus.tokenCount) { (progress) throws(CheckpointError) in
            try work.measured(
                ["distances", "\(overAllTokens)", "\(run.precision)", corpus.identity], read: Similarity.init(kept:),
                write: \.kept
            ) { () throws(CheckpointError) in
                try Similarity.measure(
                    checkpoint, corpus: corpus, overAllTokens: overAllTokens, run: run, progress: progress)
            }
        }.result
    }
}
