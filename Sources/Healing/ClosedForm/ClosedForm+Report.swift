public import Analysis
public import Checkpoints
public import Surgery

/// What a heal without training did.
public struct HealReport: Sendable {
    /// The fitted weights, and the losses.
    public let result: ClosedForm.Result
    /// How long it took.
    public let seconds: Double
}

extension ClosedForm {
    /// Fits the weights of a cut.
    ///
    /// - Parameters:
    ///   - checkpoint: the whole model, with weights that can be run.
    ///   - dropped: the layers that are cut.
    ///   - text: the text, in parts that share nothing.
    ///   - run: how the model is run.
    ///   - work: receives progress and notes.
    /// - Throws: when the model cannot be run, or computes NaN or infinity.
    public func heal(
        _ checkpoint: Checkpoint, dropping dropped: LayerRuns, text: HealingParts, run: RunOptions, work: Work = Work()
    ) throws(CheckpointError) -> HealReport {
        let (result, seconds) = try work.run(.heal, tokens: amount(text).tokens) { (progress) throws(CheckpointError) in
            func heal(_ fits: KeptFits? = nil) throws(CheckpointError) -> Result {
                try self.heal(
                    checkpoint, dropping: dropped, fitting: text.fitting, choosing: text.choosing, run: run,
                    keeping: fits, progress: progress)
            }
            // Factors are found faster than they are kept.
            guard let measures = work.measures, method != .magnitude else { return try heal() }
            let (kept, fits) = measures.keptHeal([
                "\(method) \(ridges) \(jumpLayers) \(run.precision)", "\(dropped.texts)", text.fitting.identity,
                text.choosing.identity,
            ])
            if let result = try kept.read() { return result }
            let result = try heal(fits)
            guard !result.weights.tensors.isEmpty else { return result }
            try kept.write(result, threads: run.threads)
            measures.removeFits()
            // The weights lie in a file that a later run has too, so that the output has the same sources in both.
            return try kept.read() ?? result
        }
        return HealReport(result: result, seconds: seconds)
    }
}

extension ClosedForm.Result {
    /// The perplexities on held-out text, by what was measured.
    package var perplexities: [(String, Double)] {
        [("whole", wholeLoss), ("cut", cutLoss), ("healed", healedLoss)].compactMap { name, loss in
            loss.map { (name, $0.perplexity) }
        }
    }
}
