internal import Analysis
public import Checkpoints
internal import Surgery

/// A model on its way through the steps of `Shrink`, for those who do something between them.
///
/// The steps come in this order: `readTexts`, `choose`, `heal`, `train`, `output`, and `judge` once the output is written.
/// One that comes too early throws.
public struct ShrinkRun: Sendable {
    /// What is done.
    public let settings: Shrink
    /// The path of the output.
    public let path: String
    /// The model, whose weights the output is made of.
    public let model: Checkpoint
    /// The same with weights that can be run.
    public let runnable: Checkpoint
    /// Receives progress and notes.
    public let work: Work
    /// The texts.
    public private(set) var texts: ShrinkTexts?
    /// The layers that are cut, and what they were compared with.
    public private(set) var choice: CutChoice?
    /// What the heal without training did.
    public private(set) var healed: HealReport?
    /// What training did.
    public private(set) var trained: TrainingReport?

    /// The whole model with fitted weights, and with trained ones.
    private var fitted: Checkpoint
    private var result: Checkpoint

    /// Checks that the steps suit a model.
    ///
    /// - Parameters:
    ///   - settings: what is done.
    ///   - model: the whole model, as it was opened; adapters may be merged into it.
    ///   - path: where the output will be written.
    ///   - work: receives progress and notes.
    /// - Throws: when the model has no layers, too few of them, or layers that the heal cannot fit.
    public init(
        _ settings: Shrink, _ model: Checkpoint, to path: String, work: Work = Work()
    ) throws(CheckpointError) {
        _ = try model.layers()
        runnable = try DequantizeFolder(to: .f32).apply(to: model)
        try settings.form?.method.check(runnable)
        guard settings.drop > 0, settings.drop < runnable.layerCount else {
            throw CheckpointError(
                file: model.path, "cannot drop \(settings.drop) of \(runnable.layerCount) layers")
        }
        var settings = settings
        if !settings.heals, settings.chooser.rule == .healed { settings.chooser.rule = .loss }
        (self.settings, self.model, self.path, self.work) = (settings, model, path, work)
        (fitted, result) = (model, model)
    }

    /// Reads the texts.
    ///
    /// - Returns: what the user should know about them.
    @discardableResult
    public mutating func readTexts() throws(CheckpointError) -> [String] {
        let texts = try ShrinkTexts(settings, runnable)
        self.texts = texts
        return texts.notes
    }

    /// Checks the types of the output before the slow steps.
    ///
    /// - Returns: an output with the names and sizes that the later one will have, for checks of names and space; `nil`
    ///   when that depends on the layers.
    /// - Throws: when the output cannot be evaluated, or weights cannot get the type.
    public func outline() throws(CheckpointError) -> Checkpoint? {
        let form = settings.container(of: path)
        guard form != .safetensors else {
            throw CheckpointError(
                file: path, "a single safetensors file has no configuration, so it cannot be run and evaluated",
                hint: "choose a folder or x.gguf")
        }
        let trained = try planned(model)
        let (before, last) = settings.edits(for: model, path, without: LayerRuns())
        let converted = try model.applying(before)
        switch last {
        case let folder as QuantizeFolder:
            let plan = try folder.plan(converted, threads: settings.run.threads)
            try plan.check(
                folder.type, of: model, allowsRequantize: folder.settings.allowsRequantize,
                allowsPlain: settings.allowsPlain)
            for note in plan.obstacleNotes { work.note(note) }
        case let quantize as Quantize:
            let unmeasured = try quantize.unmeasured(from: converted, to: quantize.apply(to: converted))
            if let note = quantize.settings.importance?.matrix.note(unmeasured: unmeasured) { work.note(note) }
        default: break
        }
        // Any run of this size gives the names and the space; whether a run can be cut is checked later.
        guard let layers = SimpleRun.layers(size: settings.drop, of: model.layerCount) else { return nil }
        do { return try settings.output(trained, without: LayerRuns([layers]), path: path) } catch { return nil }
    }

    /// A model with the types that its weights will have after the training, if there is one.
    private func planned(_ model: Checkpoint) throws(CheckpointError) -> Checkpoint {
        try settings.trainer?.planned(model, removed: settings.drop, threads: settings.run.threads) ?? model
    }

    /// Chooses the layers.
    public mutating func choose() throws(CheckpointError) -> CutChoice {
        let choice = try settings.chooser.choose(
            size: settings.drop, in: runnable, text: readParts(), run: settings.run, work: work)
        self.choice = choice
        return choice
    }

    /// Fits the layers that stay; `nil` where the settings have no heal without training.
    public mutating func heal() throws(CheckpointError) -> HealReport? {
        guard let form = settings.form else { return nil }
        let report = try form.heal(
            runnable, dropping: dropped(), text: readParts(), run: settings.run, work: work)
        fitted = try report.result.weights.edit.apply(to: model)
        (result, healed) = (fitted, report)
        return report
    }

    /// Trains adapters; `nil` where the settings have no training.
    public mutating func train() throws(CheckpointError) -> TrainingReport? {
        guard let trainer = settings.trainer else { return nil }
        let report = try trainer.train(
            model, fitted: fitted, without: dropped(), text: readParts(), threads: settings.run.threads, work: work)
        result = try report.folded(into: fitted, threads: settings.run.threads)
        trained = report
        return report
    }

    /// The output: the model as it is now, cut, converted and quantized.
    public func output() throws(CheckpointError) -> Checkpoint { try output(result) }

    /// The output with the types and sizes that it will have after a training that is not run.
    public func plannedOutput() throws(CheckpointError) -> Checkpoint { try output(planned(fitted)) }

    private func output(_ result: Checkpoint) throws(CheckpointError) -> Checkpoint {
        var whole = result
        // With a type of its own no weight keeps the type that the notes are about.
        if settings.target.name != nil { whole.notes = model.notes }
        return try settings.output(whole, without: dropped(), path: path)
    }

    /// Compares the models after every step with the whole one.
    ///
    /// - Parameters:
    ///   - written: the output, read back.
    ///   - seconds: how long it took to convert, quantize and write it.
    public func judge(_ written: Checkpoint, seconds: Double? = nil) throws(CheckpointError) -> ShrinkSteps {
        let dropped = try dropped()
        func without(_ model: Checkpoint) throws(CheckpointError) -> Checkpoint {
            try model.applying([CutLayers(layers: dropped)])
        }
        var steps = [ShrinkStep(name: "cut", checkpoint: try without(model))]
        if let healed, let form = settings.form {
            steps.append(
                ShrinkStep(name: form.method.rawValue, checkpoint: try without(fitted), seconds: healed.seconds))
        }
        if let trained {
            steps.append(ShrinkStep(name: "lora", checkpoint: try without(result), seconds: trained.seconds))
        }
        if isPlainCut {
            // The cut is what was written: it is measured once.
            steps = [ShrinkStep(name: "cut", checkpoint: written, seconds: seconds)]
        } else {
            steps.append(ShrinkStep(name: settings.target.name ?? "written", checkpoint: written, seconds: seconds))
        }
        guard let texts else { throw CheckpointError("the texts are read before anything is judged") }
        return try ShrinkSteps(
            model, steps, uncut: WholeAtSize(model, limit: written.byteCount), texts.judged, settings.run, work)
    }

    /// Whether the output has the weights of the cut, with nothing fitted and nothing rounded.
    private var isPlainCut: Bool {
        guard healed == nil, trained == nil, settings.target.name == nil else { return false }
        return settings.container(of: path) == model.form
            || model.tensors.allSatisfy { [.f32, .f16, .bf16].contains($0.dtype) }
    }

    private func readParts() throws(CheckpointError) -> HealingParts {
        guard let texts else { throw CheckpointError("the texts are read before layers are chosen") }
        return texts.parts
    }

    private func dropped() throws(CheckpointError) -> LayerRuns {
        guard let choice else { throw CheckpointError("the layers are chosen before they are cut") }
        return choice.dropped
    }
}
