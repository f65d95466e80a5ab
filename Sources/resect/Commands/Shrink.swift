internal import Analysis
internal import ArgumentParser
internal import Checkpoints
internal import Formats
internal import Surgery

/// The `shrink` command: analyze, choose, cut, quantize, write, check, report.
struct Shrink: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make a model smaller: find the run of layers that matters least, cut it, quantize, and write.",
        discussion: """
            Measures the distances of all runs of layers on the text; the five closest runs of the requested size are \
            each left out in a trial, and the one that raises the loss least is cut. The output is written in one \
            pass, read back, and evaluated on --evaluation (default: the same text). The result is a table that \
            compares the model before and after.
            """)

    @OptionGroup var model: ModelArgument
    @OptionGroup var output: OutputOptions

    @Option(name: .long, help: ArgumentHelp("A UTF-8 text file for choosing the layers.", valueName: "text"))
    var corpus: String

    @Option(name: .long, help: ArgumentHelp("The number or the percentage of layers to drop.", valueName: "n|p%"))
    var drop: DropCount

    @Option(name: .long, help: ArgumentHelp("Target type of the weights. Default: unchanged.", valueName: "type"))
    var type: String?

    @OptionGroup var inputs: QuantizeInputs

    @Option(name: .long, help: ArgumentHelp("Another text for the evaluation.", valueName: "text"))
    var evaluation: String?

    @Option(name: .long, help: ArgumentHelp("The number of contexts in the evaluation.", valueName: "n"))
    var evaluationSamples = 32

    @OptionGroup var adapters: AdapterOptions
    @OptionGroup var stack: LayerOptions
    @OptionGroup var predictors: PredictorOption
    @OptionGroup var samples: SampleOptions
    @OptionGroup var common: CommonOptions

    func validate() throws {
        if type == nil, inputs.imatrix != nil {
            throw ValidationError("--imatrix requires a quantization: choose one with --type")
        }
        if inputs.allowPlain, type.flatMap(FolderType.init(named:)) == nil {
            throw ValidationError("--allow-plain applies to folder types only: \(FolderType.names)")
        }
        if output.isStream {
            throw ValidationError(
                "shrink evaluates its output, so it cannot write to -o -; cut and quantize can")
        }
    }

    func run() throws {
        let goal = try goal()
        // Measure on dequantized weights, but write from the original ones.
        let model = try adapters.merged(stack.choosing(in: model.open()), threads: common.threadCount)
        _ = try model.layers()
        let checkpoint = try DequantizeFolder(to: .f32).apply(to: model)
        let count = checkpoint.layerCount
        let size = try drop.count(of: count, file: model.path)
        let text = try Corpus(
            path: corpus, for: checkpoint, contextLength: samples.context, limit: samples.samples)
        common.noteLength(of: samples.context, for: checkpoint)
        let judged = try Corpus(
            path: evaluation ?? corpus, for: checkpoint, contextLength: samples.context, limit: evaluationSamples)
        let chooser = RunChooser(checkpoint: checkpoint, common: common)
        var write = WriteRun(output: output, common: common)
        try checkOutput(model, size, goal, write)
        let run = samples.precision.run(threads: common.threadCount)
        let similarity = try chooser.similarity(text, samples, run: run)
        let candidates = try chooser.candidates(
            similarity, size: size, overAllTokens: samples.tokens == .all, includesLast: samples.includeLast)
        let loss = try chooser.measure(candidates, corpus: text.prefix(RunChooser.lossContexts), run: run)
        guard let best = loss.best else { preconditionFailure("candidates are never empty") }
        let result = try edited(model, best.layers, goal)
        let dropped = LayerRuns([best.layers])
        common.note("drops \(dropped.words) (\(dropped.count) of \(count))")
        if !common.json { RunReport.print(loss) }
        write.dropped = dropped
        let before = output.dryRun ? nil : try Evaluate.measure(checkpoint, judged, run, common, "before")
        if common.json {
            try writeJSON(write, result, model, judged, run, before, loss, best)
            return
        }
        guard let written = try write.write(result), let before else { return }
        let after = try Evaluate.measure(
            DequantizeFolder(to: .f32).apply(to: written), judged, run, common, "after")
        Output.line()
        report(model, before, written, after, judged)
    }

    /// The target of the remaining weights.
    private enum Goal {
        case theirs
        case quantized(Quantize)
        case folder(QuantizeFolder)
    }

    private func goal() throws -> Goal {
        guard let type else { return .theirs }
        if let folderType = FolderType(named: type) {
            guard inputs.suitFolders else {
                throw ValidationError(
                    "--imatrix and --allow-nonfinite do not apply to folder types: \(FolderType.names)")
            }
            return .folder(QuantizeFolder(folderType))
        }
        var settings = Quantize.Settings(try Mixture.asked(type))
        inputs.apply(to: &settings, matrix: try inputs.matrix())
        return .quantized(Quantize(settings))
    }

    /// The edits before the quantization, and the quantization.
    private func edits(
        _ goal: Goal, for checkpoint: Checkpoint
    ) throws -> (before: [any Edit], last: (any Edit)?) {
        let form = try output.form(for: checkpoint)
        switch goal {
        case .theirs: return ([Convert(to: form)], nil)
        case .folder(let quantization): return ([Convert(to: form)], quantization)
        case .quantized(let quantize):
            let convert = Convert.beforeQuantization(of: checkpoint, to: form)
            return ([DequantizeFolder(to: .f32), convert], quantize)
        }
    }

    /// The importance matrix is that of the whole model, so each remaining layer uses its old number.
    private func edited(
        _ checkpoint: Checkpoint, _ layers: Range<Int>, _ goal: Goal
    ) throws -> Checkpoint {
        var goal = goal
        if case .quantized(let quantize) = goal, let matrix = quantize.settings.importance?.matrix {
            var settings = quantize.settings
            settings.importance = Importance(matrix, dropped: layers)
            goal = .quantized(Quantize(settings))
        }
        let (before, last) = try edits(goal, for: checkpoint)
        return try checkpoint.applying(
            predictors.mtp.edits + [CutLayers(layers: layers)] + before + (last.map { [$0] } ?? []))
    }

    /// Checks the output before the slow steps.
    private func checkOutput(
        _ checkpoint: Checkpoint, _ size: Int, _ goal: Goal, _ write: WriteRun
    ) throws {
        guard try output.form(for: checkpoint) != .safetensors else {
            throw CheckpointError(
                file: output.output,
                "a single safetensors file has no configuration, so it cannot be run and evaluated",
                hint: "choose a folder or x.gguf")
        }
        let converted = try checkpoint.applying(try edits(goal, for: checkpoint).before)
        switch goal {
        case .theirs: break
        case .folder(let quantization):
            let plan = try quantization.plan(converted, threads: common.threadCount)
            try plan.check(quantization.type, of: checkpoint, inputs)
            common.noteObstacles(plan)
        case .quantized(let quantize):
            let whole = try quantize.apply(to: converted)
            common.noteUnmeasured(
                try quantize.unmeasured(from: converted, to: whole), in: quantize.settings.importance?.matrix)
        }
        // Any run of this size gives the names and the space; whether a run can be cut is checked later.
        guard let layers = SimpleRun.layers(size: size, of: checkpoint.layerCount) else { return }
        if let planned = try? edited(checkpoint, layers, goal) { try write.check(planned) }
    }

    private func report(
        _ checkpoint: Checkpoint, _ before: Evaluation, _ written: Checkpoint, _ after: Evaluation,
        _ judged: Corpus
    ) {
        var table = Table(["", "before", "after", "ratio"])
        func row(_ name: String, _ a: Double, _ b: Double, _ text: (Double) -> String) {
            table.add([name, text(a), text(b), (b / max(a, 1e-300)).fixed(3)])
        }
        row("layers", Double(checkpoint.layerCount), Double(written.layerCount)) { Int($0).grouped }
        row("parameters", Double(checkpoint.modelParameterCount), Double(written.modelParameterCount)) {
            Int($0).grouped
        }
        row("bytes", Double(checkpoint.byteCount), Double(written.byteCount)) { Int($0).grouped }
        row("bits per weight", checkpoint.bitsPerWeight, written.bitsPerWeight) { $0.fixed(2) }
        row("perplexity", before.perplexity, after.perplexity) { $0.fixed(3) }
        table.print()
        Output.line(
            "perplexity on \(judged.path): \(judged.contexts.count) contexts of \(judged.contextLength) tokens, "
                + "second halves")
    }

    private func writeJSON(
        _ write: WriteRun, _ result: Checkpoint, _ checkpoint: Checkpoint, _ judged: Corpus, _ run: RunOptions,
        _ before: Evaluation?, _ loss: RunLoss, _ best: LayerRun
    ) throws {
        var write = write
        write.extra = RunReport.json(loss, chosen: best)
        if let before {
            write.measure = { written in
                let after = try Evaluate.measure(
                    DequantizeFolder(to: .f32).apply(to: written), judged, run, common, "after")
                func side(_ checkpoint: Checkpoint, _ evaluation: Evaluation) -> JSON {
                    .object(
                        JSONObject([
                            ("layers", .int(checkpoint.layerCount)),
                            ("parameters", .int(checkpoint.modelParameterCount)),
                            ("byteCount", .int(checkpoint.byteCount)),
                            ("bitsPerWeight", .double(checkpoint.bitsPerWeight)),
                            ("perplexity", .double(evaluation.perplexity)),
                        ]))
                }
                return [("before", side(checkpoint, before)), ("after", side(written, after))]
            }
        }
        try write.write(result)
    }
}

extension Checkpoint {
    /// The bits of all tensors divided by the number of parameters.
    var bitsPerWeight: Double { Double(byteCount) * 8 / Double(max(1, modelParameterCount)) }
}
