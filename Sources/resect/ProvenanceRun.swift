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
    /// Whether the command changes what the model computes.
    let isRecorded: Bool
    /// Adapters and other checkpoints that were read, by the option that named them.
    var others: [(option: String, path: String)] = []
    /// Texts that were read.
    var texts: [String] = []
    /// Perplexities that were measured before the output is written.
    var measured: [(String, Double)] = []
    /// Options that are replaced by the layers that were chosen with them.
    var chosenBy: [String] = []

    /// Whether commands that change what a model computes are recorded without --provenance.
    private static let isDefault = false

    /// The output with its history.
    ///
    /// - Parameter asked: what --provenance and --no-provenance say; `nil` without either.
    func recorded(in checkpoint: Checkpoint, asked: Bool?, dropped: LayerRuns?) throws -> Checkpoint {
        guard checkpoint.content == .model else { return checkpoint }
        guard asked != false else { return RecordProvenance.removed(from: checkpoint) }
        let before = try Provenance(of: model)
        // A history that is there goes on.
        guard asked ?? (isRecorded && (ProvenanceRun.isDefault || before != nil)) else {
            // What is known of the model stays known in another container.
            guard let before, try Provenance(of: checkpoint) == nil else { return checkpoint }
            return try RecordProvenance(before).apply(to: checkpoint)
        }
        let provenance = Provenance(steps: (before?.steps ?? []) + [try step(dropped: dropped)])
        return try RecordProvenance(provenance, baseModel: baseModel).apply(to: checkpoint)
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
            step.inputs.append(try Provenance.input(Checkpoint.open(other.path), option: other.option))
        }
        step.texts = try texts.map { try Provenance.text($0) }
        step.dropped = dropped?.texts ?? []
        for (name, value) in measured {
            step.measured[name] = .double((value * 1000).rounded() / 1000)
        }
        return step
    }

    /// The name of the model on the hub, where it is known.
    private var baseModel: String? {
        if let id = HubCache.id(ofSnapshot: model.path) { return id }
        guard let stated = model.config?["_name_or_path"]?.string, !stated.hasPrefix("."), !stated.hasPrefix("/"),
            stated.split(separator: "/", omittingEmptySubsequences: false).count == 2
        else { return nil }
        return stated
    }
}

extension ClosedForm.Result {
    /// The perplexities on held-out text, by what was measured.
    var perplexities: [(String, Double)] {
        [("whole", wholeLoss), ("cut", cutLoss), ("healed", healedLoss)].compactMap { name, loss in
            loss.map { (name, $0.perplexity) }
        }
    }
}
