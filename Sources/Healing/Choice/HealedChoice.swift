public import Analysis
public import Checkpoints
internal import Decoder
internal import Surgery

/// Cuts compared after a first heal: each gets the solve of its own gaps, and text of other kinds judges.
///
/// Losses before a heal mislead: many small gaps can cost less than one large one, and heal worse.
public struct HealedChoice: Sendable {
    /// The candidates, in the given order.
    public let candidates: [CutCandidate]
    /// Each after its heal, on the text that judges; `nil` where it computes NaN.
    public let evaluations: [Evaluation?]
    /// The whole model on the same text.
    public let whole: Evaluation

    /// The loss of each after its heal, in nats per token; infinity where it computes NaN.
    public var losses: [Double] { evaluations.map { $0?.negativeLogLikelihood ?? .infinity } }
    /// The loss of the whole model, in nats per token.
    public var wholeLoss: Double { whole.negativeLogLikelihood }

    /// The candidate with the least loss.
    public var best: CutCandidate {
        let index = losses.indices.min { losses[$0] < losses[$1] } ?? 0
        return candidates[index]
    }

    /// Heals and measures every candidate.
    ///
    /// - Parameters:
    ///   - candidates: the cuts.
    ///   - checkpoint: the whole model, with weights that can be run.
    ///   - fitting: text that the gaps are fitted to; some ten thousand tokens are enough to compare.
    ///   - choosing: text that judges.
    ///   - form: the heal, which is a bridge whatever its method.
    ///   - run: how the model is run.
    ///   - work: keeps what is measured.
    ///   - progress: called with the candidates done and all.
    /// - Throws: when the model cannot be run, or computes NaN or infinity.
    public static func measure(
        _ candidates: [CutCandidate], of checkpoint: Checkpoint, fitting: Corpus, choosing: Corpus, form: ClosedForm,
        run: RunOptions, work: Work = Work(), progress: ((_ done: Int, _ total: Int) -> Void)? = nil
    ) throws(CheckpointError) -> HealedChoice {
        guard !candidates.isEmpty else {
            throw CheckpointError(file: checkpoint.path, "no cut is given to choose from")
        }
        var bridge = form
        bridge.method = .bridge
        let model = try DecoderModel(checkpoint)
        try bridge.method.check(model)
        let start = try HealingStart(
            model, fitting: fitting, choosing: choosing, run: run, memoryByteCount: form.memoryByteCount)
        var evaluations = [Evaluation?](repeating: nil, count: candidates.count)
        let total = candidates.count + 1
        var done = 0
        func step() {
            done += 1
            progress?(done, total)
        }
        let conditions = ["\(form.ridges) \(run.precision)", fitting.identity, choosing.identity]
        func first(_ candidate: CutCandidate) -> Int { max(0, (candidate.dropped.runs.first?.lowerBound ?? 0) - 1) }
        for index in candidates.indices.sorted(by: { first(candidates[$0]) < first(candidates[$1]) }) {
            let dropped = candidates[index].dropped
            evaluations[index] = try work.evaluated(["healed", "\(dropped.texts)"] + conditions) {
                () throws(CheckpointError) in
                try start.advance(to: first(candidates[index]))
                let found = try bridge.heal(HealingStart(copying: start), dropping: dropped).healed
                return found?.negativeLogLikelihood.isFinite == true ? found : nil
            }
            step()
        }
        let whole = try work.evaluated(["whole"] + conditions) { () throws(CheckpointError) in
            try start.advance(to: model.layerCount)
            return try start.evaluation()
        }
        guard let whole else { throw CheckpointError(file: choosing.path, "has no tokens to judge with") }
        step()
        return HealedChoice(candidates: candidates, evaluations: evaluations, whole: whole)
    }
}
