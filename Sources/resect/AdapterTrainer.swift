internal import Analysis
internal import Checkpoints
internal import Formats
internal import Healing
internal import Surgery

/// Trains adapters that heal a cut, for `heal` and `shrink`.
struct AdapterTrainer {
    let text: HealerText
    let options: TrainingOptions
    let heal: HealOptions
    let output: OutputOptions
    let common: CommonOptions

    /// Trains.
    ///
    /// - Parameters:
    ///   - whole: the model before the cut, which teaches.
    ///   - fitted: the same with the weights of an earlier heal.
    ///   - dropped: the layers that are cut.
    func train(_ whole: Checkpoint, fitted: Checkpoint, without dropped: LayerRuns) throws -> TrainingReport {
        let kept = KeptLayers(count: whole.layerCount, without: dropped)
        let share = Double(dropped.count) / Double(max(1, whole.layerCount))
        let training = options.training(removed: share, seed: heal.seed)
        let teaching = Progress("teach", unit: .contexts, quiet: common.quiet)
        let progress = Progress("train", unit: .steps, quiet: common.quiet)
        let result = try training.run(
            student: fitted.applying([CutLayers(layers: dropped)]), teacher: whole, fitting: text.fitting,
            choosing: text.choosing.contexts.isEmpty ? nil : text.choosing, baseName: output.output,
            memory: heal.memory?.byteCount ?? 2 << 30, threads: common.threadCount,
            state: output.resume ? statePath : nil, resumes: output.resume
        ) { event in
            switch event {
            case .taught(let done, let total): teaching.report(done, total)
            case .step(let number, let total, _): progress.report(number, total)
            case .measured: break
            }
        }
        progress.finish()
        return TrainingReport(result: result, teacher: options.teacher, kept: kept, seconds: progress.seconds)
    }

    /// Where the state of a training is kept for `--resume`, beside the output.
    private var statePath: String {
        let path = FileSystem.absolute(output.output)
        return path.deletingLastPathComponent + "/." + path.lastPathComponent + ".resect-training"
    }

    /// Writes the picture, and removes the state, once the output is written.
    func finish(_ report: TrainingReport) throws {
        try options.write(report.result.curve, replaces: output.force)
        if output.resume { SmallFile.remove(statePath) }
    }
}

/// What a training did.
struct TrainingReport {
    let result: LoRATraining.Result
    let teacher: TeacherArgument
    let kept: KeptLayers
    let seconds: Double

    /// The model before the cut with the adapter in its weights.
    func folded(into fitted: Checkpoint, _ common: CommonOptions) throws -> Checkpoint {
        try result.folded(into: fitted, keeping: kept, threads: common.threadCount)
    }

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
