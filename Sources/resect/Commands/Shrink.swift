internal import Analysis
internal import ArgumentParser
internal import Checkpoints
internal import Formats
internal import Healing
internal import Surgery

/// The `shrink` command: analyze, choose, cut, heal, quantize, write, check, report.
struct Shrink: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract:
            "Make a model smaller: find the layers that matter least, cut them, heal the cut, quantize, and write.",
        discussion: """
            Several rules propose layers to cut. Each proposal gets a first heal, and the one with the least loss on \
            held-out text is cut. Then the layers that stay are fitted to the whole model (see heal), and everything is \
            written in one pass, read back, and compared with the whole model on text that nothing was fitted on: \
            perplexity, KL divergence, the share of tokens where both find the same next token most likely, and the \
            share of tokens that are the same when both write on freely.

            Every --corpus is a kind of text: a file, a folder of files, or builtin. The comparison is made on \
            --evaluation (repeatable), else on text that was not fitted; builtin has kinds that are kept for it. With --heal none the \
            closest run that raises the loss least is cut, and nothing is fitted.
            """)

    @OptionGroup var model: ModelArgument
    @OptionGroup var output: OutputOptions
    @OptionGroup var patch: PatchOption

    @Option(
        name: .long, parsing: .singleValue,
        help: ArgumentHelp(
            "Text for choosing the layers and for healing: a file, a folder, or builtin. Repeatable.", valueName: "text"
        ))
    var corpus: [String]

    @Option(name: .long, help: ArgumentHelp("The number or the percentage of layers to drop.", valueName: "n|p%"))
    var drop: DropCount

    @Option(name: .long, help: ArgumentHelp("Target type of the weights. Default: unchanged.", valueName: "type"))
    var type: String?

    @OptionGroup var inputs: QuantizeInputs

    @Option(name: .customLong("heal"), help: ArgumentHelp("How the cut is healed.", valueName: "method"))
    var method = HealMethod(.refit)

    @OptionGroup var heal: HealOptions
    @OptionGroup var training: TrainingOptions

    @Option(
        name: .long, parsing: .singleValue,
        help: ArgumentHelp(
            "Another text for the evaluation. Repeatable; each is reported by itself.", valueName: "text"))
    var evaluation: [String] = []

    @Option(name: .long, help: ArgumentHelp("The number of contexts in the evaluation.", valueName: "n"))
    var evaluationSamples = 32

    @OptionGroup var adapters: AdapterOptions
    @OptionGroup var stack: LayerOptions
    @OptionGroup var predictors: PredictorOption
    @OptionGroup var samples: SampleOptions
    @OptionGroup var common: CommonOptions

    func validate() throws {
        if corpus.isEmpty { throw ValidationError("name a text with --corpus") }
        if type == nil, inputs.imatrix != nil {
            throw ValidationError("--imatrix requires a quantization: choose one with --type")
        }
        if inputs.allowPlain, type.flatMap(FolderType.init(named:)) == nil {
            throw ValidationError("--allow-plain applies to folder types only: \(FolderType.names)")
        }
        try training.check(method)
        try patch.check(output)
        if method.closedForm == nil, heal.choose == .healed {
            throw ValidationError("--choose healed compares heals; with --heal none choose by loss or angle")
        }
        if evaluationSamples < 1 { throw ValidationError("--evaluation-samples must be at least 1") }
        if output.isStream {
            throw ValidationError(
                "shrink evaluates its output, so it cannot write to -o -; cut and quantize can")
        }
    }

    func run() throws {
        let goal = try ShrinkGoal(type: type, inputs: inputs, output: output, mtp: predictors.mtp)
        // Measure on dequantized weights, but write from the original ones.
        let opened = try stack.choosing(in: model.open())
        let model = try adapters.merged(opened, threads: common.threadCount)
        _ = try model.layers()
        let checkpoint = try DequantizeFolder(to: .f32).apply(to: model)
        if method.closedForm != nil { try ClosedForm.check(checkpoint) }
        let size = try drop.count(of: checkpoint.layerCount, file: model.path)
        let texts = try ShrinkTexts(self, checkpoint)
        var write = WriteRun(output: output, common: common)
        write.patch = patch.run(against: opened, output, common)
        try training.checkCurve(replaces: output.force)
        try goal.check(model, size: size, write, common)
        for note in texts.notes { common.note(note) }
        common.noteLength(of: samples.context, for: checkpoint)
        let run = samples.precision.run(threads: common.threadCount)
        let healer = CutHealer(
            checkpoint: checkpoint, text: texts.parts, options: heal, method: method.closedForm, run: run,
            common: common)
        let choice = try healer.choose(
            size: size, overAllTokens: samples.tokens == .all, includesLast: samples.includeLast)
        let dropped = choice.dropped
        common.note("drops \(dropped.words) (\(dropped.count) of \(checkpoint.layerCount))")
        if !common.json { choice.table?.show() }
        let report = try healer.heal(dropped)
        report?.say(common)
        let fitted = try report?.result.weights.edit.apply(to: model) ?? model
        let trainer = AdapterTrainer(text: texts.parts, options: training, heal: heal, output: output, common: common)
        var trained: TrainingReport?
        if method.trains, !output.dryRun {
            trained = try trainer.train(model, fitted: fitted, without: dropped)
            trained?.say(common)
        }
        var healed = try trained?.folded(into: fitted, common) ?? fitted
        // With --type no weight keeps the type that the notes are about.
        if goal.name != nil { healed.notes = model.notes }
        let result = try goal.edited(healed, without: dropped)
        write.dropped = dropped
        write.extra = choice.json + (report?.json ?? []) + (trained?.json ?? [])
        guard !output.dryRun else {
            try write.write(result)
            return
        }
        func without(_ model: Checkpoint) throws -> Checkpoint { try model.applying([CutLayers(layers: dropped)]) }
        var steps = [ShrinkStep(name: "cut", checkpoint: try without(checkpoint))]
        if let report, let method = method.closedForm {
            let plain = try report.result.weights.edit.apply(to: checkpoint)
            steps.append(
                ShrinkStep(name: method.rawValue, checkpoint: try without(plain), seconds: report.seconds))
        }
        if let trained {
            steps.append(ShrinkStep(name: "lora", checkpoint: try without(healed), seconds: trained.seconds))
        }
        func judge(_ written: Checkpoint) throws -> ShrinkSteps {
            if let trained { try trainer.finish(trained) }
            return try ShrinkSteps(
                checkpoint, steps + [ShrinkStep(name: goal.name ?? "written", checkpoint: written)],
                uncut: WholeAtSize(model, limit: written.byteCount), texts.judged, run, common)
        }
        if common.json {
            write.measure = { try judge($0).json(model) }
            try write.write(result)
            return
        }
        guard let written = try write.write(result) else { return }
        let judged = try judge(written)
        Output.line()
        judged.show()
    }
}

/// The texts of a run of `shrink`.
struct ShrinkTexts {
    let parts: HealerText
    /// Text that only judges, by kind.
    let judged: [(name: String, corpus: Corpus)]
    let notes: [String]

    init(_ command: Shrink, _ checkpoint: Checkpoint) throws {
        let context = command.samples.context
        func given(_ limit: Int) throws -> [(name: String, corpus: Corpus)] {
            try command.evaluation.map { path in
                (path, try Corpus(path: path, for: checkpoint, contextLength: context, limit: limit))
            }
        }
        let share = max(1, command.evaluationSamples / max(1, command.evaluation.count))
        // One file without a heal is read as it is.
        if !command.method.heals, command.corpus.count == 1, FileSystem.kind(of: command.corpus[0]) == .file {
            let path = command.corpus[0]
            parts = HealerText(
                ranking: try Corpus(
                    path: path, for: checkpoint, contextLength: context, limit: command.samples.samples))
            let same = try Corpus(
                path: path, for: checkpoint, contextLength: context, limit: command.evaluationSamples)
            judged = command.evaluation.isEmpty ? [(path, same)] : try given(share)
            notes = []
            return
        }
        var sizes = HealingText.Sizes(fitting: command.heal.healSamples)
        sizes.ranking = command.samples.samples
        sizes.judging = command.evaluation.isEmpty ? command.evaluationSamples : 0
        let text = try HealingText(
            sources: command.corpus, for: checkpoint, contextLength: context, sizes: sizes, seed: command.heal.seed)
        parts = HealerText(text)
        var notes = text.notes
        if !command.evaluation.isEmpty {
            judged = try given(share)
            notes += command.evaluation.filter(command.corpus.contains).map {
                "\($0) is fitted and judges too: its figures are better than those of other text"
            }
        } else {
            // Without builtin text the rest of the given texts judges; nothing was fitted on it.
            let isBuiltin = command.corpus.contains(HealingText.builtin)
            let kinds = isBuiltin ? text.judging.kinds : text.choosing.kinds
            judged = kinds.map { ($0.name, $0.corpus.prefix(max(1, command.evaluationSamples / kinds.count))) }
            if !isBuiltin {
                notes.append("judges with the text for choosing; --evaluation takes text that nothing has seen")
            }
        }
        self.notes = notes
    }
}
