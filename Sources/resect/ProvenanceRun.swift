internal import Analysis
internal import ArgumentParser
internal import Checkpoints
internal import Formats
internal import Healing
internal import Surgery

/// What a command writes into its output about how it was made.
struct ProvenanceRun {
    /// The command.
    let command: any ParsableCommand.Type
    /// The model as it was opened.
    let model: Checkpoint
    /// Whether the output says so without --provenance: where weights are cut, healed or merged. Where the model has a history
    /// already, every command adds its step.
    let isRecorded: Bool
    /// Adapters and other checkpoints that were read, by the option that named them.
    var others: [(option: String, path: String)] = []
    /// Texts that were read.
    var texts: [String] = []
    /// Perplexities that were measured before the output is written.
    var measured: [(String, Double)] = []
    /// Options that are replaced by the layers that were chosen with them.
    var chosenBy: [String] = []

    /// The output with its history.
    ///
    /// - Parameter asked: what --provenance and --no-provenance say; `nil` without either.
    func recorded(in checkpoint: Checkpoint, asked: Bool?, dropped: LayerRuns?) throws -> Checkpoint {
        guard asked != false else { return RecordProvenance.removed(from: checkpoint) }
        let before = try ProvenanceRun.history(of: model)
        // A history that left out a step would be false.
        guard asked ?? (isRecorded || before != nil) else { return checkpoint }
        let provenance = Provenance(steps: (before?.steps ?? []) + [try step(dropped: dropped)])
        return try RecordProvenance(provenance, baseModel: HubCache.id(ofSnapshot: model.path)).apply(to: checkpoint)
    }

    /// What a model says of how it was made.
    static func history(of model: Checkpoint) throws(CheckpointError) -> Provenance? {
        do {
            return try Provenance(of: model)
        } catch {
            var error = error
            error.hint = (error.hint.map { $0 + "; " } ?? "") + "--no-provenance leaves this history out"
            throw error
        }
    }

    private func step(dropped: LayerRuns?) throws -> Provenance.Step {
        let name = command.configuration.commandName ?? "\(command)".lowercased()
        var options = Invocation.options(of: command)
        if let dropped, !chosenBy.isEmpty {
            for option in chosenBy { options[option] = nil }
            options["layers"] = .array([.string(dropped.texts.joined(separator: ","))])
        }
        var step = Provenance.Step(command: name, options: options)
        step.inputs = [try Provenance.input(model)]
        for other in others {
            step.inputs.append(try Provenance.input(other.path, of: other.option))
        }
        step.texts = try texts.map { try Provenance.text(TextSource(argument: $0)) }
        step.dropped = dropped?.texts ?? []
        step.measured = Provenance.Step.measured(measured)
        return step
    }
}
