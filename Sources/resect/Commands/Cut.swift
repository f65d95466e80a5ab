internal import Analysis
internal import ArgumentParser
internal import Checkpoints
internal import Formats
internal import Healing
internal import Surgery

/// The `cut` command.
struct Cut: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Delete layers and renumber the rest.",
        discussion: """
            Give the layers (--layers 21:29, or --layers 3,7,9:12), or their number with an analysis (--drop 8 \
            --analysis A.json) or with no text at all (--drop 25% --simple: the last layers except the final one). \
            With --analysis and --corpus, the closest runs of that size are each left out in a trial; the one \
            that raises the loss least is cut. A LoRA adapter (a folder of PEFT or mlx-lm, or GGUF) or an importance matrix, \
            given instead of a model, follows the cut of its model: --layers then names the layers that the model lost.
            """)

    @OptionGroup var model: ModelArgument
    @OptionGroup(title: "Output") var output: OutputOptions

    @OptionGroup var layers: LayersOption

    @Option(
        name: .long,
        help: ArgumentHelp(
            "The number of layers to delete; a percentage is rounded to the nearest number.", valueName: "n|p%"))
    var drop: DropCount?

    @Option(
        name: .long, help: ArgumentHelp("The output of analyze for this model.", valueName: "file"), completion: .file()
    )
    var analysis: String?

    @Flag(name: .long, help: "Cut the last layers except the final one.")
    var simple = false

    @Option(
        name: .long, parsing: .singleValue,
        help: ArgumentHelp(
            "Text to measure the loss without each of the nearest runs: a file, a folder, builtin, or - for standard input. "
                + "Repeatable.", valueName: "text"),
        completion: .file())
    var corpus: [String] = []

    @OptionGroup(title: "Layers") var stack: LayerOptions
    @OptionGroup(title: "Layers") var predictors: PredictorOption
    @OptionGroup(title: "Measuring") var samples: SampleOptions
    @OptionGroup(title: "General") var common: CommonOptions

    /// Options that only choose the layers.
    private static let choosing = [
        "drop", "analysis", "simple", "corpus", "tokens", "include-last", "samples", "context", "precision",
        "candidates", "loss-samples",
    ]

    func validate() throws {
        if layers.isEmpty == (drop == nil) {
            throw ValidationError("use either --layers LIST, or --drop N with --analysis FILE or --simple")
        }
        if drop != nil, (analysis == nil) != simple {
            throw ValidationError("--drop needs either --analysis FILE or --simple")
        }
        if !layers.isEmpty, analysis != nil || simple || !corpus.isEmpty {
            throw ValidationError("--layers names the layers; --analysis, --simple and --corpus are for --drop")
        }
        if simple, !corpus.isEmpty { throw ValidationError("--simple uses no text; --corpus requires --analysis") }
    }

    /// Refuses options that have no effect.
    private func checkMeasuring() throws {
        let trial = ["context", "precision", "candidates", "loss-samples"], distances = ["tokens", "include-last"]
        if !layers.isEmpty {
            try Invocation.refuse(
                distances + ["samples"] + trial, of: Cut.self, "is for choosing layers; --layers names them")
        } else if simple {
            try Invocation.refuse(
                distances + ["samples"] + trial, of: Cut.self, "is for --analysis; --simple measures nothing")
        } else {
            try Invocation.refuse(["samples"], of: Cut.self, "is for measuring distances; --analysis has them")
            if corpus.isEmpty {
                try Invocation.refuse(trial, of: Cut.self, "is for trials on a text; --corpus names it")
            }
        }
    }

    func run() throws {
        try checkMeasuring()
        let opened = try model.open()
        switch opened.content {
        case .adapter, .importanceMatrix: return try follow(opened)
        default: break
        }
        let checkpoint = try stack.choosing(in: opened)
        var write = WriteRun(output: output, common: common)
        write.texts = corpus + [analysis].compactMap(\.self)
        let runs = try runs(checkpoint, &write)
        let edits = try predictors.mtp.edits + [CutLayers(layers: runs), Convert(to: output.form(for: checkpoint))]
        let result = try checkpoint.applying(edits)
        write.dropped = runs
        write.provenance = ProvenanceRun(command: Cut.self, model: opened, isRecorded: true, chosenBy: Cut.choosing)
        try write.check(result)
        common.note("drops \(runs.words) (\(runs.count) of \(checkpoint.layerCount))")
        try write.write(result)
    }

    /// Makes an adapter or an importance matrix follow a cut of its model.
    private func follow(_ opened: Checkpoint) throws {
        guard !layers.isEmpty else {
            throw CheckpointError(
                file: model.path,
                "is \(opened.content.name), which does not say how many layers its model has",
                hint: "name the layers that the model lost: --layers LIST")
        }
        if predictors.mtp == .drop {
            throw ValidationError("--mtp is for models; \(model.path) is \(opened.content.name)")
        }
        guard try output.form(for: opened) == opened.form else {
            let name = opened.form == .folder ? "a folder" : "x.\(opened.form.rawValue)"
            throw CheckpointError(
                file: output.output, "is not the name of \(opened.content.name) in the form of \(model.path)",
                hint: "name \(name) as the output")
        }
        var chosen = opened
        chosen.layerPrefix = stack.layerPrefix
        let runs = try layers.union(file: model.path)
        var write = WriteRun(output: output, common: common)
        write.dropped = runs
        common.note("follows a cut of \(runs.words)")
        try write.write(CutLayers(layers: runs).apply(to: chosen))
    }

    private func runs(_ checkpoint: Checkpoint, _ write: inout WriteRun) throws -> LayerRuns {
        if !layers.isEmpty { return try layers.union(file: model.path) }
        return LayerRuns([try chosenRun(checkpoint, &write)])
    }

    private func chosenRun(_ checkpoint: Checkpoint, _ write: inout WriteRun) throws -> Range<Int> {
        guard let drop else { preconditionFailure("validated before") }
        _ = try checkpoint.layers()
        let count = checkpoint.layerCount
        let size = try drop.count(of: count, file: model.path)
        guard let analysis else {
            guard let range = SimpleRun.layers(size: size, of: count) else {
                throw CheckpointError(file: model.path, "has \(count) layers, too few to drop \(size)")
            }
            return range
        }
        let similarity = try samples.similarity(of: analysis, checkpoint)
        // Quantized weights are dequantized to run the model.
        let measured = corpus.isEmpty ? checkpoint : try DequantizeFolder(to: .f32).apply(to: checkpoint)
        let chooser = samples.chooser(measured, common)
        let candidates = try chooser.candidates(
            similarity, size: size, overAllTokens: samples.tokens == .all, includesLast: samples.includeLast)
        guard let nearest = candidates.first else { preconditionFailure("candidates are never empty") }
        write.extra.append(("distance", .double(nearest.distance)))
        guard !corpus.isEmpty else { return nearest.layers }
        try write.check(
            checkpoint.applying([CutLayers(layers: nearest.layers), Convert(to: output.form(for: checkpoint))]))
        let text = try Corpus(
            corpus.sources(besides: model.path), for: measured, contextLength: samples.context,
            limit: chooser.lossContexts)
        let loss = try chooser.measure(candidates, corpus: text)
        let best = loss.best ?? nearest
        write.extra = RunReport.json(loss, chosen: best)
        if !common.json, !output.isStream { RunReport.print(loss) }
        return best.layers
    }
}
