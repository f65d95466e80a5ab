internal import Analysis
internal import ArgumentParser
internal import Checkpoints
internal import Formats
internal import Surgery

/// The `evaluate` command.
struct Evaluate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure the perplexity of a model on a text, and how far it is from another model.",
        discussion: """
            The text is divided into contexts that do not overlap; the tokens in the second half of each are scored, as \
            llama-perplexity does. --layers measures a cut before anything is written. --reference compares the model with \
            another one that has the same vocabulary: the KL divergence KL(reference || model), and the share of tokens for \
            which both predict the same token, as llama-perplexity --kl-divergence does. With --layers, the same path as \
            MODEL compares the cut with the whole model.

            Behind ± stands the standard error, as llama-perplexity computes it: from the losses of all tokens, as if they were \
            independent.

            With --json: {"tokens", "nll", "perplexity", "perplexityError", "contexts", "context"}, natural logarithms, per \
            token; with --layers "dropped"; with --reference "referenceNll", "referencePerplexity", \
            "referencePerplexityError", "perplexityRatio", "perplexityRatioError", "klDivergence", "klStandardError", \
            "topOneAgreement".
            """)

    @OptionGroup var model: ModelArgument

    @OptionGroup var texts: CorpusOption

    @Option(name: .long, help: ArgumentHelp("A model to compare with.", valueName: "model"), completion: .file())
    var reference: String?

    @OptionGroup var layers: LayersOption

    @Option(name: .long, help: ArgumentHelp("Number of tokens in a context.", valueName: "n"))
    var context = 512

    @Option(name: .long, help: ArgumentHelp("The number of contexts to score. Default: all.", valueName: "n"))
    var samples: Int?

    @OptionGroup var precision: PrecisionOption
    @OptionGroup(title: "General") var common: CommonOptions

    func validate() throws {
        if context < 2 { throw ValidationError("--context must be at least 2") }
        if reference == "-", model.path == "-" || texts.corpus.contains("-") {
            throw ValidationError("standard input is read once, and --reference - takes it")
        }
    }

    func run() throws {
        let whole = try model.openPlain()
        let cut = layers.isEmpty ? nil : try layers.union(file: model.path)
        let checkpoint = try cut.map { try CutLayers(layers: $0).apply(to: whole) } ?? whole
        let other = try reference.map { path in
            path == model.path ? whole : try DequantizeFolder(to: .f32).apply(to: Checkpoint.open(path))
        }
        let text = try Corpus(
            texts.corpus.sources(besides: model.path), for: checkpoint, contextLength: context, limit: samples,
            judges: true)
        for note in checkpoint.notes + text.notes { common.note(note) }
        common.noteLength(of: context, for: checkpoint)
        if let cut { common.note("without \(cut.words) (\(cut.count) of \(whole.layerCount))") }
        let options = precision.run(threads: common.threadCount)
        let divergence = try other.map { try Evaluate.compare(checkpoint, $0, text, options, common, "evaluate") }
        let result = try divergence?.model ?? Evaluate.measure(checkpoint, text, options, common, "evaluate")
        if common.json {
            Output.json(json(result, divergence, text, cut))
        } else {
            print(result, divergence, text)
        }
    }

    private func json(
        _ result: Evaluation, _ divergence: Divergence?, _ text: Corpus, _ cut: LayerRuns?
    ) -> JSONObject {
        var object = JSONObject([
            ("tokens", .int(result.tokens)), ("nll", .double(result.negativeLogLikelihood)),
            ("perplexity", .double(result.perplexity)), ("perplexityError", .double(result.perplexityError)),
            ("contexts", .int(text.contexts.count)),
            ("context", .int(context)),
        ])
        object["dropped"] = cut.map { .array($0.texts.map(JSON.string)) }
        for (key, value) in divergence?.json ?? [] { object[key] = value }
        return object
    }

    private func print(_ result: Evaluation, _ divergence: Divergence?, _ text: Corpus) {
        Output.line(
            "perplexity \(result.perplexity.fixed(4)) ± \(result.perplexityError.fixed(4)) over \(result.tokens.grouped) tokens "
                + "in \(counted(text.contexts.count, "context")) of \(context)")
        guard let divergence else { return }
        Output.line(
            "reference perplexity \(divergence.reference.perplexity.fixed(4)) "
                + "± \(divergence.reference.perplexityError.fixed(4)), "
                + "ratio \(divergence.perplexityRatio.fixed(4)) ± \(divergence.perplexityRatioError.fixed(4))")
        Output.line(
            "KL divergence \(divergence.klDivergence.fixed(5)) ± \(divergence.standardError.fixed(5)) nats per token")
        Output.line("same next token \((100 * divergence.topOneAgreement).fixed(2))%")
    }

    /// Measures and shows progress.
    static func measure(
        _ checkpoint: Checkpoint, _ corpus: Corpus, _ run: RunOptions, _ common: CommonOptions, _ label: String
    ) throws -> Evaluation {
        let progress = Progress(label, unit: .layers, quiet: common.quiet, tokens: corpus.tokenCount)
        defer { progress.finish() }
        return try Evaluation.measure(checkpoint, corpus: corpus, run: run, progress: { progress.report($0, $1) })
    }

    /// Compares with a reference and shows progress.
    static func compare(
        _ checkpoint: Checkpoint, _ reference: Checkpoint, _ corpus: Corpus, _ run: RunOptions,
        _ common: CommonOptions, _ label: String
    ) throws -> Divergence {
        let progress = Progress(label, unit: .layers, quiet: common.quiet, tokens: corpus.tokenCount)
        defer { progress.finish() }
        return try Divergence.measure(
            checkpoint, reference: reference, corpus: corpus, run: run, progress: { progress.report($0, $1) })
    }
}

extension Divergence {
    /// The fields of a comparison.
    var json: [(String, JSON)] {
        [
            ("referenceNll", .double(reference.negativeLogLikelihood)),
            ("referencePerplexity", .double(reference.perplexity)),
            ("referencePerplexityError", .double(reference.perplexityError)),
            ("perplexityRatio", .double(perplexityRatio)), ("perplexityRatioError", .double(perplexityRatioError)),
            ("klDivergence", .double(klDivergence)), ("klStandardError", .double(standardError)),
            ("topOneAgreement", .double(topOneAgreement)),
        ]
    }
}
