internal import Analysis
public import Checkpoints
public import Surgery
internal import Synchronization

/// Trains adapters that heal a cut.
public struct AdapterTrainer: Sendable {
    /// The settings for a share of layers that are removed.
    public var settings: @Sendable (_ removed: Double) -> TrainingSettings
    /// Bytes for what layers compute inside; beyond it they compute it twice.
    public var memoryByteCount = 2 << 30
    /// A file that keeps the state of the training, so that it goes on after a stop; others beside it keep the teacher's
    /// answers. `nil` keeps none.
    public var state: String?
    /// Where a picture of the loss curve is written; `nil` for none.
    public var curve: String?

    /// A trainer.
    public init(settings: @escaping @Sendable (_ removed: Double) -> TrainingSettings = TrainingSettings.init(removed:))
    {
        self.settings = settings
    }

    /// How many contexts the steps take.
    public func contextCount(removed count: Int, of layers: Int) -> Int {
        settings(Double(count) / Double(max(1, layers))).contextCount
    }

    /// Trains.
    ///
    /// - Parameters:
    ///   - whole: the model before the cut, which teaches.
    ///   - fitted: the same with the weights of an earlier heal.
    ///   - dropped: the layers that are cut.
    ///   - text: the text, in parts that share nothing.
    ///   - baseName: what the adapter calls the cut model.
    ///   - threads: how many threads run; the result does not depend on it.
    ///   - work: receives progress and notes.
    /// - Throws: when a model cannot be run or trained.
    public func train(
        _ whole: Checkpoint, fitted: Checkpoint, without dropped: LayerRuns, text: HealingParts,
        baseName: String? = nil,
        threads: Int, work: Work = Work()
    ) throws(CheckpointError) -> TrainingReport {
        let kept = KeptLayers(count: whole.layerCount, without: dropped)
        let share = Double(dropped.count) / Double(max(1, whole.layerCount))
        let settings = settings(share)
        let student = try fitted.applying([CutLayers(layers: dropped)])
        let phases = TrainingPhases(work, amounts(removed: share, text: text))
        let start = ContinuousClock.now
        let result = try LoRATraining(settings).run(
            student: student, teacher: whole, fitting: text.training,
            choosing: text.choosing.contexts.isEmpty ? nil : text.choosing, baseName: baseName,
            memory: memoryByteCount, threads: threads, state: state, resumes: state != nil, progress: phases.receive)
        phases.finish()
        return TrainingReport(
            result: result, teacher: settings.teacher, kept: kept, seconds: (ContinuousClock.now - start).seconds)
    }

    /// A model with adapters that change nothing in its weights: their types and sizes are those after the training.
    ///
    /// - Parameters:
    ///   - whole: the model before the cut.
    ///   - count: how many of its layers are cut.
    ///   - threads: how many threads run; the result does not depend on it.
    /// - Throws: when it cannot be trained.
    public func planned(
        _ whole: Checkpoint, removed count: Int, threads: Int
    ) throws(CheckpointError) -> Checkpoint {
        let share = Double(count) / Double(max(1, whole.layerCount))
        return try LoRATraining(settings(share)).planned(whole, threads: threads)
    }

    /// Refuses a picture that could not be written, before anything is computed.
    public func check(replaces: Bool) throws(CheckpointError) {
        if let curve { try WholeFile.check(curve, replaces: replaces) }
    }

    /// Writes the picture, and removes the state, once the output is written.
    public func finish(_ report: TrainingReport, replaces: Bool) throws(CheckpointError) {
        if let state { LoRATraining.removeState(at: state) }
        if let curve { try WholeFile.write(Array(report.result.curve.picture.utf8), to: curve, replaces: replaces) }
    }
}

/// Tells the phases of a training apart: the teacher runs first, then come the steps.
private final class TrainingPhases: Sendable {
    private let work: Work
    private let phase = Mutex(WorkPhase.teach)

    private let amounts: [WorkAmount]

    init(_ work: Work, _ amounts: [WorkAmount]) {
        (self.work, self.amounts) = (work, amounts)
        begin(.teach)
    }

    private func begin(_ phase: WorkPhase) {
        work.begin(phase)
        if let amount = amounts.first(where: { $0.phase == phase }) { work.runs(phase, tokens: amount.tokens) }
    }

    func receive(_ event: LoRATraining.Event) {
        if case .taught(let done, let total) = event { return work.progress(.teach, done, total) }
        let isFirst = phase.withLock { phase in
            defer { phase = .train }
            return phase == .teach
        }
        if isFirst {
            work.end(.teach)
            begin(.train)
        }
        if case .step(let number, let total, _) = event { work.progress(.train, number, total) }
    }

    func finish() { work.end(phase.withLock { $0 }) }
}

/// What a training did.
public struct TrainingReport: Sendable {
    /// The adapter, and how the loss went.
    public let result: LoRATraining.Result
    /// What it has reproduced.
    public let teacher: TrainingSettings.Teacher
    /// The layers that the adapter is for.
    public let kept: KeptLayers
    /// How long it took, with the time of the teacher.
    public let seconds: Double

    /// The model before the cut with the adapter in its weights.
    public func folded(into fitted: Checkpoint, threads: Int) throws(CheckpointError) -> Checkpoint {
        try result.folded(into: fitted, keeping: kept, threads: threads)
    }
}
