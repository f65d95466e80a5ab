internal import Analysis
internal import ArgumentParser
internal import Checkpoints
internal import Formats
internal import Healing
internal import Surgery

/// The `shrink` command: analyze, choose, cut, heal, quantize, write, check, report.
struct Shrink: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make a model smaller: cut layers that matter least, heal, quantize.",
        discussion: """
            Several rules propose layers to cut. Each proposal gets a first heal, and the one with the least loss on \
            held-out text is cut. Then the layers that stay are fitted to the whole model (see heal), and everything is \
            written in one pass, read back, and compared with the whole model on text that nothing was fitted on: \
            perplexity, KL divergence, the share of tokens where both find the same next token most likely, and the \
            share of tokens that are the same when both write on freely.

            Every --corpus is a kind of text: a file, a folder of files, or builtin. The comparison is made on \
            --evaluation (repeatable), else on text that was not fitted; builtin has kinds that are kept for it. With --heal none \
            each of the closest runs is left out in a trial, the one that raises the loss least is cut, and nothing is \
            fitted.
            """)

    @OptionGroup var model: ModelArgument
    @OptionGroup(title: "Output") var output: OutputOptions
    @OptionGroup(title: "Output") var patch: PatchOption

    @Option(
        name: .long, parsing: .singleValue,
        help: ArgumentHelp(
            "Text for choosing the layers and for healing: a file, a folder, builtin, or - for standard input. Repeatable.",
            valueName: "text"), completion: .file())
    var corpus: [String]

    @Option(
        name: .long,
        help: ArgumentHelp(
            "The number of layers to drop; a percentage is rounded to the nearest number.", valueName: "n|p%"))
    var drop: DropCount

    @Option(name: .long, help: ArgumentHelp("Target type of the weights. Default: unchanged.", valueName: "type"))
    var type: WeightType?

    @OptionGroup(title: "Output") var limit: RatioLimit

    @Option(
        name: .long,
        help: ArgumentHelp(
            "The output of analyze for this model, so that it is not measured again.", valueName: "file"),
        completion: .file())
    var analysis: String?

    @OptionGroup(title: "Quantization") var inputs: QuantizeInputs
    @OptionGroup(title: "GGUF types") var mixture: MixtureOptions
    @OptionGroup(title: "Folder formats") var folderFormat: FolderFormatOptions

    @Option(name: .customLong("heal"), help: ArgumentHelp("How the cut is healed.", valueName: "method"))
    var method = HealMethod(.refit)

    @OptionGroup(title: "Healing") var heal: HealOptions
    @OptionGroup(title: "Training") var training: TrainingOptions

    @Option(
        name: .long, parsing: .singleValue,
        help: ArgumentHelp(
            "Another text for the evaluation. Repeatable; each is reported by itself.", valueName: "text"),
        completion: .file())
    var evaluation: [String] = []

    @Option(name: .long, help: ArgumentHelp("The number of contexts in the evaluation.", valueName: "n"))
    var evaluationSamples = 32

    @OptionGroup(title: "Adapters") var adapters: AdapterOptions
    @OptionGroup(title: "Layers") var stack: LayerOptions
    @OptionGroup(title: "Layers") var predictors: PredictorOption
    @OptionGroup(title: "Measuring") var samples: SampleOptions
    @OptionGroup(title: "General") var common: CommonOptions

    func validate() throws {
        if corpus.isEmpty { throw ValidationError("name a text with --corpus") }
        if mixture.keepSplit { throw ValidationError("--keep-split is for all layers; use --shard-size") }
        try inputs.check(for: type, mixture, folderFormat)
        try training.check(method)
        try patch.check(output)
        if evaluationSamples < 1 { throw ValidationError("--evaluation-samples must be at least 1") }
        if output.isStream {
            throw ValidationError(
                "shrink evaluates its output, so it cannot write to -o -; cut and quantize can")
        }
    }

    func run() throws {
        let target = try target()
        // Measure on dequantized weights, but write from the original ones.
        let opened = try stack.choosing(in: model.open())
        let model = try adapters.merged(opened, threads: common.threadCount)
        _ = try model.layers()
        let size = try drop.count(of: model.layerCount, file: model.path)
        var settings = try settings(size, target, form: try output.form(for: model))
        try heal.check(Shrink.self, settings.chooser.rule, method.closedForm, samples)
        if !method.heals {
            try Invocation.refuse(
                ["heal-samples", "memory"], of: Shrink.self, "is for a heal; --heal none fits nothing")
        }
        settings.chooser.similarity = try analysis.map { try samples.similarity(of: $0, model) }
        var work = common.work
        work.measures = try common.measures(of: model, beside: output)
        var shrinking = try ShrinkRun(settings, model, to: output.output, work: work)
        let notes = try shrinking.readTexts()
        var write = WriteRun(output: output, common: common)
        write.patch = patch.run(against: opened, output, common)
        var others = adapters.files
        for (option, path) in [("imatrix", inputs.imatrix), ("analysis", analysis)] {
            if let path { others.append((option, path)) }
        }
        (write.models, write.others) = ([opened], [training.curve])
        write.texts = corpus + evaluation + others.map(\.path)
        try write.checkHistory(of: opened)
        try shrinking.settings.trainer?.check(replaces: output.force)
        if let outline = try shrinking.outline() { try write.check(outline) }
        for note in notes { common.note(note) }
        common.noteLength(of: samples.context, for: model)
        PhaseCount.expect(shrinking.amounts(writes: !output.dryRun, packs: patch.savePatch != nil))
        let choice = try shrinking.choose()
        common.note("drops \(choice.dropped.words) (\(choice.dropped.count) of \(model.layerCount))")
        if !common.json { choice.table?.show() }
        let healed = try shrinking.heal()
        healed?.say(common)
        let trained = output.dryRun ? nil : try shrinking.train()
        trained?.say(common)
        write.dropped = choice.dropped
        write.extra = choice.json + (healed?.json ?? []) + (trained?.json ?? [])
        write.provenance = ProvenanceRun(
            command: Shrink.self, model: opened, isRecorded: true,
            others: others, texts: corpus + evaluation,
            measured: healed?.result.perplexities ?? choice.perplexities)
        guard !output.dryRun else {
            try write.write(shrinking.plannedOutput())
            return
        }
        let result = try shrinking.output()
        var judged: ShrinkSteps?
        let start = ContinuousClock.now
        write.accept = { [shrinking] (written) throws(CheckpointError) in
            let steps = try shrinking.judge(written, seconds: (ContinuousClock.now - start).seconds)
            judged = steps
            try limit.check(steps, heals: method.heals, path: output.output)
        }
        write.measured = { judged?.json ?? [] }
        write.isRefused = { [limit, method] in judged.map { limit.isExceeded(by: $0, heals: method.heals) } ?? false }
        do {
            guard try write.write(result) != nil else { return }
        } catch let error as CheckpointError {
            guard let judged, limit.isExceeded(by: judged, heals: method.heals) else { throw error }
            if !common.json { judged.show() }
            Output.flush()
            Output.complain(error)
            throw ExitCode(1)
        }
        ResumedFile.removeAll(beside: output.output)
        if let trained { try shrinking.settings.trainer?.finish(trained, replaces: output.force) }
        guard let judged else { return }
        if !common.json {
            Output.line()
            judged.show()
        }
        if let note = limit.note(judged) { common.note(note) }
    }

    /// The type of the weights.
    private func target() throws -> ShrinkTarget {
        guard let type else { return .unchanged }
        if let folder = type.folder { return .folder(folder, folderFormat.settings) }
        var settings = try mixture.settings(Mixture.asked(type.name))
        inputs.apply(
            to: &settings, matrix: try inputs.matrix(), dropped: try inputs.imatrixDropped.union(file: model.path))
        return .mixture(settings)
    }

    /// What the options ask for.
    private func settings(_ size: Int, _ target: ShrinkTarget, form: Checkpoint.Form) throws -> Healing.Shrink {
        var settings = Healing.Shrink(
            drop: size, corpus: try corpus.sources(besides: self.model.path),
            run: samples.precision.run(threads: common.threadCount))
        settings.evaluation = try evaluation.sources(besides: self.model.path)
        settings.contextLength = samples.context
        settings.rankingSamples = samples.samples
        settings.healSamples = heal.healSamples
        settings.evaluationSamples = evaluationSamples
        settings.seed = heal.seed
        settings.chooser = heal.chooser(method.closedForm, samples)
        settings.form = method.closedForm.map(heal.form)
        settings.trainer = method.trains ? training.trainer(heal, output) : nil
        settings.target = target
        settings.dropsPredictors = predictors.mtp == .drop
        settings.allowsRequantize = inputs.allowRequantize
        settings.allowsPlain = inputs.allowPlain
        settings.container = form
        return settings
    }
}
