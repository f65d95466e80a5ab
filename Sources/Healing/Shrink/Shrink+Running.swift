internal import Analysis
public import Checkpoints
public import Surgery

extension Shrink {
    /// What was written, and what became of the model on the way.
    public struct Result: Sendable {
        /// The layers that were cut.
        public let dropped: LayerRuns
        /// What they were compared with.
        public let choice: CutChoice
        /// What the heal without training did.
        public let healed: HealReport?
        /// What training did.
        public let trained: TrainingReport?
        /// The output, read back.
        public let written: Checkpoint
        /// The models after every step, compared with the whole one.
        public let steps: ShrinkSteps
    }

    /// Shrinks a model and writes it.
    ///
    /// The work stays in the calling thread and those that it starts, for minutes or hours, so call it where waiting is
    /// allowed. When its task is cancelled, it throws `CheckpointError.cancelled` at the next layer or the next rows. Then
    /// nothing is left of an unfinished output; one that was finished already stays.
    ///
    ///     let task = Task.detached { try shrink.run(model, to: "small.gguf") }
    ///     task.cancel()
    ///
    /// - Parameters:
    ///   - model: the whole model, as it was opened; adapters may be merged into it.
    ///   - path: the output: x.gguf or a folder.
    ///   - shardByteCount: the most bytes of tensors in a file of the output; `nil` for one file.
    ///   - writer: how the output is written, but for its progress; `nil` for a writer that replaces nothing.
    ///   - work: receives progress and notes; its `measures` let a later run go on after an interruption, and are removed
    ///     at the end.
    /// - Throws: when the model cannot be cut, healed or quantized so, or the output exists; nothing is written then. Also
    ///   when the output cannot be compared with the whole model, because it computes NaN or infinity; it is written then.
    @discardableResult
    public func run(
        _ model: Checkpoint, to path: String, shardByteCount: Int? = nil, writer: CheckpointWriter? = nil,
        work: Work = Work()
    ) throws(CheckpointError) -> Result {
        var writer = writer ?? CheckpointWriter(threads: run.threads)
        func plan(_ output: Checkpoint) throws(CheckpointError) -> OutputPlan {
            try OutputPlan(output, shardByteCount: shardByteCount)
        }
        var shrinking = try ShrinkRun(self, model, to: path, work: work)
        let notes = try shrinking.readTexts()
        try trainer?.check(replaces: writer.replaces)
        if let outline = try shrinking.outline() { try writer.check(plan(outline), path: path) }
        for note in notes { work.note(note) }
        let choice = try shrinking.choose()
        let healed = try shrinking.heal()
        let trained = try shrinking.train()
        let output = try plan(recorded(shrinking))
        for note in output.checkpoint.notes { work.note(note) }
        let written = try work.run(.write) { (progress) throws(CheckpointError) in
            writer.progress = progress
            return try writer.write(output, to: path)
        }.result
        if let trained { try trainer?.finish(trained, replaces: writer.replaces) }
        let steps = try shrinking.judge(written)
        work.measures?.remove()
        return Result(
            dropped: choice.dropped, choice: choice, healed: healed, trained: trained, written: written, steps: steps)
    }

    /// The output with what it says of how it was made.
    private func recorded(_ shrinking: ShrinkRun) throws(CheckpointError) -> Checkpoint {
        let (model, output) = (shrinking.model, try shrinking.output())
        guard var step = record else { return RecordProvenance.removed(from: output) }
        step.inputs = [try Provenance.input(model)]
        step.texts = try (corpus + evaluation).map(Provenance.text)
        step.dropped = shrinking.choice?.dropped.texts ?? []
        step.measured = Provenance.Step.measured(
            shrinking.healed?.result.perplexities ?? shrinking.choice?.perplexities ?? [])
        let before = try Provenance(of: model)?.steps ?? []
        return try RecordProvenance(Provenance(steps: before + [step])).apply(to: output)
    }
}
