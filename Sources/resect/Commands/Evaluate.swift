internal import Analysis
internal import ArgumentParser
internal import Checkpoints
internal import Formats

/// The `evaluate` command.
struct Evaluate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure the perplexity of a model on a text, as llama-perplexity does.",
        discussion: """
            The text is divided into contexts that do not overlap; the tokens in the second half of each are scored. \
            With --json: {"tokens", "nll", "perplexity", "contexts", "context"}, natural logarithms, per token.
            """)

    @OptionGroup var model: ModelArgument

    @Option(name: .long, help: ArgumentHelp("A file of UTF-8 text.", valueName: "text"))
    var corpus: String

    @Option(name: .long, help: ArgumentHelp("Number of tokens in a context.", valueName: "n"))
    var context = 512

    @Option(name: .long, help: ArgumentHelp("The number of contexts to score. Default: all.", valueName: "n"))
    var samples: Int?

    @OptionGroup var precision: PrecisionOption
    @OptionGroup var common: CommonOptions

    func run() throws {
        let checkpoint = try model.openPlain()
        let text = try Corpus(path: corpus, for: checkpoint, contextLength: context, limit: samples)
        for note in checkpoint.notes { common.note(note) }
        common.noteLength(of: context, for: checkpoint)
        let result = try Evaluate.measure(
            checkpoint, text, precision.run(threads: common.threadCount), common, "evaluate")
        if common.json {
            Output.json(
                JSONObject([
                    ("tokens", .int(result.tokens)), ("nll", .double(result.negativeLogLikelihood)),
                    ("perplexity", .double(result.perplexity)), ("contexts", .int(text.contexts.count)),
                    ("context", .int(context)),
                ]))
        } else {
            Output.line(
                "perplexity \(result.perplexity.fixed(4)) over \(result.tokens.grouped) tokens "
                    + "in \(text.contexts.count) contexts of \(context)")
        }
    }

    /// Measures and shows progress.
    static func measure(
        _ checkpoint: Checkpoint, _ corpus: Corpus, _ run: RunOptions, _ common: CommonOptions, _ label: String
    ) throws -> Evaluation {
        let progress = Progress(label, unit: .layers, quiet: common.quiet)
        defer { progress.finish() }
        return try Evaluation.measure(checkpoint, corpus: corpus, run: run, progress: { progress.report($0, $1) })
    }
}
