internal import Analysis
internal import ArgumentParser
internal import Checkpoints
internal import Formats
internal import Healing
internal import Surgery

/// The `analyze` command.
struct Analyze: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure how similar the layers are, and which layers matter least.",
        discussion: """
            The distance of two layers is the angle between their inputs divided by pi, at the last token \
            of every context (arXiv 2403.17887). For every size n the run of n layers with \
            the least distance between its input and its output is reported; it includes the last layer only with \
            --include-last. With --drop, the closest runs of that size are each left out in a trial, and the \
            loss is printed.

            With --json, or in the file of -o: {"layers": L, "samples", "context", "tokens", "distance": {"last": M, \
            "all": M}, "candidates": [{"layers": ["3:4"], "distance", "loss"}]}; M is (L+1) x (L+1), index L is the \
            raw output of the last layer; "all" needs --tokens all. "candidates" holds the nearest run of every size \
            and all runs whose loss was measured.
            """)

    @OptionGroup var model: ModelArgument

    @OptionGroup var texts: CorpusOption

    @Option(
        name: .shortAndLong, help: ArgumentHelp("A file to write the analysis to, as JSON.", valueName: "file"),
        completion: .file())
    var output: String?

    @Flag(name: .shortAndLong, help: "Replace an existing output.")
    var force = false

    @Flag(
        name: .long,
        help: "Continue an interrupted run with the same -o, and keep what was measured if this run is interrupted.")
    var resume = false

    @Option(
        name: .long,
        help: ArgumentHelp("Measure the loss without each of the nearest runs of this size.", valueName: "n|p%"))
    var drop: DropCount?

    @OptionGroup(title: "Layers") var stack: LayerOptions
    @OptionGroup(title: "Measuring") var samples: SampleOptions
    @OptionGroup(title: "General") var common: CommonOptions

    func validate() throws {
        if drop == nil {
            try Invocation.refuse(["candidates", "loss-samples"], of: Analyze.self, "is for the trials of --drop")
        } else if samples.lossSamples > samples.samples {
            try Invocation.refuse(
                ["loss-samples"], of: Analyze.self,
                "takes some of the contexts of --samples, which are \(samples.samples)")
        }
        if force, output == nil { throw ValidationError("--force replaces the file of -o") }
        if let output, [".gguf", ".safetensors"].contains(where: output.lowercased().hasSuffix) {
            throw ValidationError("'\(output)' is the name of a model; name the measurements x.json")
        }
        if output == "-" { throw ValidationError("-o needs the name of a file; --json prints to standard output") }
        if resume, output == nil { throw ValidationError("--resume keeps what was measured beside the file of -o") }
    }

    func run() throws {
        let checkpoint = try stack.choosing(in: model.openPlain())
        try OutputNames([output]).check(models: [checkpoint], texts: texts.corpus)
        if let output { try WholeFile.check(output, replaces: force) }
        let size = try drop?.count(of: checkpoint.layerCount, file: model.path)
        let text = try Corpus(
            texts.corpus.sources(besides: model.path), for: checkpoint, contextLength: samples.context,
            limit: samples.samples
        )
        for note in checkpoint.notes + text.notes { common.note(note) }
        common.noteLength(of: samples.context, for: checkpoint)
        if text.contexts.count < samples.samples {
            common.note(
                "\(text.path) has only \(text.contexts.count) of the requested \(samples.samples) contexts of \(samples.context) tokens"
            )
        }
        var work = common.work
        if let output { work.measures = try common.measures(of: checkpoint, beside: output, resumes: resume) }
        let chooser = samples.chooser(checkpoint, common, work)
        if let size {
            var rule = CutChooser(.loss)
            (rule.candidates, rule.lossContexts) = (chooser.limit, chooser.lossContexts)
            PhaseCount.expect(
                rule.amounts(size: size, of: checkpoint.layerCount, text: HealingParts(ranking: text)))
        }
        let similarity = try chooser.similarity(text, overAllTokens: samples.tokens == .all)
        let nearest = similarity.nearestRunOfEachSize(
            overAllTokens: samples.tokens == .all, includesLast: samples.includeLast)
        var loss: RunLoss?
        if let size {
            let candidates = try chooser.candidates(
                similarity, size: size, overAllTokens: samples.tokens == .all, includesLast: samples.includeLast)
            let part = text.prefix(chooser.lossContexts)
            loss = try chooser.measure(candidates, corpus: part)
        }
        let object = AnalysisFile.json(similarity, candidates: nearest, loss: loss)
        if let output { try AnalysisFile.write(object, to: output, force: force) }
        work.measures?.remove()
        if common.json { return Output.json(object) }
        let cuts = try checkpoint.layerCount > Analyze.mostChecked ? nil : CutCheck(checkpoint)
        HeatMap(
            similarity: similarity, overAllTokens: samples.tokens == .all, includesLast: samples.includeLast,
            colours: Colours(common.colour), width: Terminal.resultWidth, canBeCut: { cuts?.allows($0) ?? true }
        ).print()
        if let loss { RunReport.print(loss) }
    }

    /// Of a model with more layers every run is shown as one that can be cut: to plan all cuts would take longer than a user waits.
    private static let mostChecked = 40
}
