internal import Checkpoints
internal import Formats
internal import Healing

extension TrainingReport {
    /// Prints it on standard error, with a chart of the loss.
    func say(_ common: CommonOptions) {
        let curve = result.curve
        common.note("trained \(counted(curve.steps.count, "step")) in \(seconds.fixed(1)) s")
        if let first = curve.heldOut.first, let best = curve.best {
            common.note(
                "loss on held-out text: \(first.loss.fixed(4)) before, \(best.loss.fixed(4)) after \(best.step) steps")
        }
        for note in result.notes { common.note(note) }
        if !common.json { for line in LossChart.lines(curve) { common.note(line) } }
    }

    /// It as a member of the JSON output.
    var json: [(String, JSON)] {
        var object = JSONObject([
            ("teacher", .string(teacher.rawValue)), ("steps", .int(result.step)),
            ("seconds", .double((seconds * 1000).rounded() / 1000)), ("ending", .string(ending)),
        ])
        object["curve"] = result.curve.json
        return [("training", .object(object))]
    }

    private var ending: String {
        switch result.ending {
        case .finished: "finished"
        case .stoppedEarly: "stopped early"
        case .diverged: "diverged"
        }
    }
}
