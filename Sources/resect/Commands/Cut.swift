internal import Analysis
internal import ArgumentParser
internal import Checkpoints
internal import Formats
internal import Surgery

/// Deletes layers.
struct Cut: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Delete layers and renumber the rest.",
        discussion: """
            Say which layers (--layers 21:29, or --layers 3,7,9:12), or how many: by an analysis (--drop 8 --analysis A.json), or without \
            any data the deepest but the last (--drop 25% --simple). With --analysis and --corpus, the five nearest \
            blocks are run as if they were cut, and the one of least loss is taken.
            """)

    @OptionGroup var model: ModelArgument
    @OptionGroup var output: OutputOptions

    @Option(
        name: .long, parsing: .singleValue,
        help: ArgumentHelp(
            "The layers to delete, counted from 0: numbers and half-open ranges, such as 3,7,9:12. Repeatable.",
            valueName: "list"))
    var layers: [LayerList] = []

    @Option(name: .long, help: ArgumentHelp("How many layers to delete.", valueName: "n|p%"))
    var drop: DropCount?

    @Option(name: .long, help: ArgumentHelp("What analyze wrote for this model.", valueName: "file"))
    var analysis: String?

    @Flag(name: .long, help: "Take the deepest layers but the last.")
    var simple = false

    @Option(name: .long, help: ArgumentHelp("A text on which the nearest blocks are measured.", valueName: "text"))
    var corpus: String?

    @OptionGroup var stack: LayerOptions
    @OptionGroup var predictors: PredictorOption
    @OptionGroup var samples: SampleOptions
    @OptionGroup var common: CommonOptions

    func validate() throws {
        if layers.isEmpty == (drop == nil) {
            throw ValidationError("say either --layers LIST, or --drop N with --analysis FILE or --simple")
        }
        if drop != nil, (analysis == nil) != simple {
            throw ValidationError("--drop needs either --analysis FILE or --simple")
        }
        if !layers.isEmpty, analysis != nil || simple || corpus != nil {
            throw ValidationError("--layers already says which layers; --analysis, --simple and --corpus choose them")
        }
        if simple, corpus != nil { throw ValidationError("--simple looks at no text; --corpus goes with --analysis") }
    }

    func run() throws {
        let checkpoint = try stack.choosing(in: model.open())
        var write = WriteRun(output: output, common: common)
        let runs = try runs(checkpoint, &write)
        let edits = try predictors.mtp.edits + [CutLayers(layers: runs), Convert(to: output.form(for: checkpoint))]
        let result = try checkpoint.applying(edits)
        write.dropped = runs
        try write.check(result)
        common.note("drops \(runs.words) (\(runs.count) of \(checkpoint.layerCount))")
        try write.write(result)
    }

    private func runs(_ checkpoint: Checkpoint, _ write: inout WriteRun) throws -> LayerRuns {
        if !layers.isEmpty { return try layers.union(file: model.path) }
        return LayerRuns([try block(checkpoint, &write)])
    }

    private func block(_ checkpoint: Checkpoint, _ write: inout WriteRun) throws -> Range<Int> {
        guard let drop else { preconditionFailure("validated before") }
        _ = try checkpoint.layers()
        let count = checkpoint.layerCount
        let size = try drop.count(of: count, file: model.path)
        guard let analysis else {
            guard let range = SimpleBlock.layers(size: size, of: count) else {
                throw CheckpointError(file: model.path, "has \(count) layers, too few to drop \(size)")
            }
            return range
        }
        let similarity = try AnalysisFile.read(analysis, layers: count, model: model.path)
        let overAll = samples.tokens == .all
        if overAll, similarity.all == nil {
            throw CheckpointError(
                file: analysis, "holds no distances over all tokens", hint: "make it with analyze --tokens all")
        }
        // Packed weights are measured by their values.
        let measured = corpus == nil ? checkpoint : try DequantizeFolder(to: .f32).apply(to: checkpoint)
        let chooser = BlockChooser(checkpoint: measured, common: common)
        let candidates = try chooser.candidates(
            similarity, size: size, overAllTokens: overAll, includesLast: samples.includeLast)
        guard let nearest = candidates.first else { preconditionFailure("candidates are never empty") }
        write.extra.append(("distance", .double(nearest.distance)))
        guard let corpus else { return nearest.layers }
        try write.check(
            checkpoint.applying([CutLayers(layers: nearest.layers), Convert(to: output.form(for: checkpoint))]))
        let text = try Corpus(
            path: corpus, for: measured, contextLength: samples.context, limit: BlockChooser.lossContexts)
        let run = samples.precision.run(threads: common.threadCount)
        let loss = try chooser.measure(candidates, corpus: text, run: run)
        let best = loss.best ?? nearest
        write.extra = BlockReport.json(loss, chosen: best)
        if !common.json, !output.isStream { BlockReport.print(loss) }
        return best.layers
    }
}
