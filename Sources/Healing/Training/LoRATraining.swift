public import Analysis
public import Checkpoints
internal import Decoder
internal import Surgery
internal import Weights

/// Heals a cut by training low-rank adapters on the products of its layers (LoRA), with the whole model as the teacher.
///
/// The weights stay as they are, in whatever type; only the adapters are trained, with AdamW. The same input gives the same
/// bytes for every number of threads, and after a stop and a resumption.
public struct LoRATraining: Sendable {
    /// What is trained, and how.
    public var settings: TrainingSettings

    /// A training.
    public init(_ settings: TrainingSettings = TrainingSettings()) { self.settings = settings }

    /// What a training tells while it runs.
    public enum Event: Sendable {
        /// The teacher has run over some of the contexts.
        case taught(_ done: Int, _ total: Int)
        /// A step is done; the number counts from 1.
        case step(_ number: Int, _ total: Int, TrainingCurve.Step)
        /// The loss on held-out text was measured.
        case measured(TrainingCurve.Measurement)
    }

    /// Why a training ended.
    public enum Ending: Sendable, Equatable {
        /// All steps are done.
        case finished
        /// The loss on held-out text has had no new best for some measurements.
        case stoppedEarly(step: Int)
        /// A loss was NaN, or many times the first one.
        case diverged(step: Int, loss: Double)
    }

    /// A trained adapter.
    public struct Result: Sendable {
        /// The adapter, as a folder that PEFT loads; its layer numbers are those of the cut model.
        public let adapter: Checkpoint
        /// How the loss went.
        public let curve: TrainingCurve
        /// Why it ended.
        public let ending: Ending
        /// How many steps the adapter has had: those to the best measurement on held-out text.
        public let step: Int
        /// What the user should know, one sentence each.
        public let notes: [String]
        /// The matrices, by the product that they change.
        let matrices: TrainedMatrices
        let settings: TrainingSettings

        /// The model before the cut with the adapter added to the layers that stay, rounded first where the training has
        /// rounded them.
        public func folded(
            into whole: Checkpoint, keeping kept: KeptLayers, threads: Int
        ) throws(CheckpointError) -> Checkpoint {
            let plain = try LoRATraining.runnable(whole)
            let adapter = try matrices.folder(
                of: plain, model: DecoderModel(plain), settings, baseName: nil, layer: { kept.layers[$0] })
            return try LoRATraining.fold(adapter, into: whole, plain, settings.base, threads: threads)
        }
    }

    /// A model with adapters that change nothing in its weights: their types and sizes are those after the training.
    ///
    /// - Parameters:
    ///   - whole: the model before the cut.
    ///   - threads: how many threads run; the result does not depend on it.
    /// - Throws: when it cannot be trained.
    public func planned(_ whole: Checkpoint, threads: Int) throws(CheckpointError) -> Checkpoint {
        let plain = try LoRATraining.runnable(whole), model = try DecoderModel(plain)
        try settings.check(model)
        let adapter = try TrainedMatrices(model, settings).folder(of: plain, model: model, settings, baseName: nil)
        return try LoRATraining.fold(adapter, into: whole, plain, settings.base, threads: threads)
    }

    /// Adds an adapter to a model. A weight that is rounded for the training gets its own type again.
    ///
    /// - Parameter plain: the model as `runnable` has it.
    private static func fold(
        _ adapter: Checkpoint, into whole: Checkpoint, _ plain: Checkpoint, _ base: TrainingSettings.Base, threads: Int
    ) throws(CheckpointError) -> Checkpoint {
        let merge = MergeAdapters([.init(try Adapter(adapter))], threads: threads)
        guard base == .nf4 else { return try merge.apply(to: whole) }
        var merged = try merge.apply(to: HeldWeights.rounded(plain))
        try merged.restoreTypes(from: whole.form == .gguf ? Convert(to: .folder).apply(to: whole) : whole)
        return merged
    }

    /// Trains adapters.
    ///
    /// - Parameters:
    ///   - student: the cut model, which may be planned only, with fitted weights in it.
    ///   - teacher: the whole model.
    ///   - fitting: text to train on.
    ///   - choosing: text that decides when to stop; `nil` takes the last step.
    ///   - baseName: what the adapter calls the cut model.
    ///   - memory: bytes for what layers compute inside; beyond it they compute it twice.
    ///   - threads: how many threads run; the result does not depend on it.
    ///   - state: a file that keeps the state of the training, to go on after a stop; files with the teacher's answers lie
    ///     beside it. `nil` keeps none.
    ///   - resumes: whether a training that the file holds goes on.
    ///   - progress: called with what happens.
    /// - Throws: when a model cannot be run, the teacher does not fit, or the first loss is not finite.
    public func run(
        student: Checkpoint, teacher: Checkpoint, fitting: Corpus, choosing: Corpus?, baseName: String? = nil,
        memory: Int = 2 << 30, threads: Int, state: String? = nil, resumes: Bool = false,
        progress: (@Sendable (Event) -> Void)? = nil
    ) throws(CheckpointError) -> Result {
        let plain = try LoRATraining.runnable(student)
        let base = settings.base == .nf4 ? try HeldWeights.kept(plain) : plain
        let model = try DecoderModel(base)
        let whole = settings.teacher == .none ? nil : try DecoderModel(LoRATraining.runnable(teacher))
        if let whole { try check(whole, teaches: model) }
        if fitting.contexts.isEmpty { throw CheckpointError(file: fitting.path, "has no context to train on") }
        try settings.check(model)
        let contexts = fitting.inputs, heldOut = choosing?.inputs ?? []
        let total = contexts.count + heldOut.count
        if resumes, let state {
            try TrainingState.check(
                state, TrainingState.identity(settings, training: contexts, measured: heldOut))
        }
        let kept = state.map { KeptAnswers(of: teacher, settings, state: $0) }
        let targets = try TrainingTargets(contexts, settings, teacher: whole, kept: kept, threads: threads) {
            progress?(.taught($0, total))
        }
        let measured = try TrainingTargets(
            heldOut, settings, teacher: whole, kept: kept?.after(contexts.count), threads: threads
        ) { progress?(.taught(contexts.count + $0, total)) }
        let session = try TrainingSession(
            model, settings, training: targets, measured: measured, memory: memory, threads: threads, state: state)
        if resumes { try session.resume() }
        let ending = try session.run(progress)
        try student.checkUnchanged()
        try teacher.checkUnchanged()
        return Result(
            adapter: try session.matrices.folder(of: plain, model: model, settings, baseName: baseName),
            curve: session.curve, ending: ending, step: session.bestStep,
            notes: notes(session, ending, contexts: contexts.count), matrices: session.matrices,
            settings: settings)
    }

    /// Removes what `run` has kept in a file, and in others beside it.
    public static func removeState(at path: String) {
        WholeFile.remove(path)
        KeptAnswers.remove(state: path)
    }

    /// A model whose weights can be multiplied, under the names of a folder.
    static func runnable(_ checkpoint: Checkpoint) throws(CheckpointError) -> Checkpoint {
        let folder = checkpoint.form == .gguf ? try Convert(to: .folder).apply(to: checkpoint) : checkpoint
        return try DequantizeFolder(to: .f32).apply(to: folder)
    }

    private func check(_ teacher: DecoderModel, teaches student: DecoderModel) throws(CheckpointError) {
        let file = teacher.checkpoint.path
        guard teacher.vocabularyCount == student.vocabularyCount else {
            throw CheckpointError(
                file: file,
                "has \(teacher.vocabularyCount.grouped) tokens and the model that it teaches "
                    + "\(student.vocabularyCount.grouped)", hint: "take the model that was cut")
        }
        guard settings.teacher != .stream || teacher.hidden == student.hidden else {
            throw CheckpointError(
                file: file,
                "has hidden states of \(teacher.hidden) values and the model that it teaches of \(student.hidden)",
                hint: "take the model that was cut, or --teacher logits")
        }
    }

    private func notes(_ session: TrainingSession, _ ending: Ending, contexts: Int) -> [String] {
        var notes: [String] = []
        switch ending {
        case .finished: break
        case .stoppedEarly(let step):
            notes.append(
                "training stopped at step \(step): held-out text had its least loss at step \(session.bestStep)")
        case .diverged(let step, let loss):
            notes.append(
                "the loss diverged at step \(step) (\(loss)); the adapter of step \(session.bestStep) is kept; "
                    + "a lower learning rate helps")
        }
        if session.bestStep == 0, !session.curve.steps.isEmpty {
            notes.append("training gained nothing on held-out text; the adapter changes nothing")
        }
        let rounds = Double(session.curve.steps.count * settings.batch) / Double(max(1, contexts))
        if rounds > 2 {
            notes.append(
                "every context was trained on \(Int(rounds.rounded())) times; more text heals better than more steps")
        }
        if settings.teacher == .none {
            notes.append("without a teacher, training adapts the model to the text as much as it heals the cut")
        }
        return notes
    }
}
