internal import Analysis
internal import Checkpoints
internal import Formats
internal import Surgery

/// What became of a model after each step of `shrink`, compared with the whole one.
struct ShrinkSteps {
    private struct Step {
        let name: String
        let layers, parameters, byteCount: Int
        /// One for each kind of text.
        let divergences: [Divergence]
        let answers: GreedyAnswers
        let seconds: Double?
    }

    private let whole: Checkpoint
    private let texts: [(name: String, corpus: Corpus)]
    private let run: RunOptions
    private let common: CommonOptions
    private var steps: [Step] = []
    private let wholeAnswers: GreedyAnswers

    /// Prompts that are continued, and how far.
    private static let prompts = 8, promptLength = 64, answerLength = 32

    init(
        _ whole: Checkpoint, _ texts: [(name: String, corpus: Corpus)], _ run: RunOptions, _ common: CommonOptions
    ) throws {
        self.whole = whole
        self.texts = texts
        self.run = run
        self.common = common
        wholeAnswers = try ShrinkSteps.answers(of: whole, texts, run)
    }

    private static func answers(
        of checkpoint: Checkpoint, _ texts: [(name: String, corpus: Corpus)], _ run: RunOptions
    ) throws -> GreedyAnswers {
        try GreedyAnswers.write(
            checkpoint, corpus: texts[0].corpus, count: prompts,
            promptLength: min(promptLength, max(1, texts[0].corpus.contextLength / 2)), length: answerLength, run: run)
    }

    /// Measures a model after a step.
    mutating func add(_ name: String, _ checkpoint: Checkpoint, seconds: Double? = nil) throws {
        let plain = try DequantizeFolder(to: .f32).apply(to: checkpoint)
        let progress = Progress("judge", unit: .layers, quiet: common.quiet)
        defer { progress.finish() }
        let divergences = try texts.enumerated().map { index, text in
            try Divergence.measure(
                plain, reference: whole, corpus: text.corpus, run: run,
                progress: { [count = texts.count] in progress.report(index * $1 + $0, count * $1) })
        }
        steps.append(
            Step(
                name: name, layers: checkpoint.layerCount, parameters: checkpoint.modelParameterCount,
                byteCount: checkpoint.byteCount, divergences: divergences,
                answers: try ShrinkSteps.answers(of: plain, texts, run), seconds: seconds))
    }

    /// Prints the table and a sample answer.
    func show() {
        var table = Table(["", "whole"] + steps.map(\.name))
        func row(_ name: String, _ first: String, _ value: (Step) -> String) {
            table.add([name, first] + steps.map(value))
        }
        row("layers", "\(whole.layerCount)") { "\($0.layers)" }
        row("parameters", whole.modelParameterCount.grouped) { $0.parameters.grouped }
        row("bytes", whole.byteCount.grouped) { $0.byteCount.grouped }
        row("bits per weight", whole.bitsPerWeight.fixed(2)) {
            (Double($0.byteCount) * 8 / Double(max(1, $0.parameters))).fixed(2)
        }
        for (index, text) in texts.enumerated() {
            let reference = steps.first?.divergences[index].reference.perplexity ?? .nan
            row("perplexity, \(text.name)", reference.fixed(3)) { $0.divergences[index].model.perplexity.fixed(3) }
        }
        row("KL divergence", "") { mean($0, \.klDivergence).fixed(4) }
        row("same next token", "") { (100 * mean($0, \.topOneAgreement)).fixed(1) + "%" }
        row("same when writing", "") { (100 * $0.answers.agreement(with: wholeAnswers)).fixed(1) + "%" }
        table.print()
        let corpus = texts[0].corpus
        Output.line(
            "judged on \(texts.reduce(0) { $0 + $1.corpus.contexts.count }) contexts of \(corpus.contextLength) tokens, second "
                + "halves; writing: \(wholeAnswers.answers.count) prompts, \(ShrinkSteps.answerLength) tokens each")
        for step in steps {
            if let seconds = step.seconds { Output.line("\(step.name) was made in \(seconds.fixed(1)) s") }
        }
        guard let first = wholeAnswers.answers.first else { return }
        Output.line()
        Output.line("prompt: …\(first.prompt.suffix(120).onOneLine)")
        Output.line("whole:  \(first.text.onOneLine)")
        for step in steps { Output.line("\((step.name + ":").padded(7)) \(step.answers.answers[0].text.onOneLine)") }
    }

    /// The mean over all judged tokens.
    private func mean(_ step: Step, _ value: (Divergence) -> Double) -> Double {
        let tokens = step.divergences.reduce(0) { $0 + $1.tokens }
        return step.divergences.reduce(0) { $0 + value($1) * Double($1.tokens) } / Double(max(1, tokens))
    }

    /// The perplexity of a step over all judged tokens.
    private func perplexity(_ step: Step, _ value: (Divergence) -> Evaluation) -> Double {
        mean(step) { value($0).negativeLogLikelihood }.perplexity
    }

    /// Members of the JSON output.
    func json(_ model: Checkpoint, _ written: Checkpoint) -> [(String, JSON)] {
        func side(_ checkpoint: Checkpoint, _ perplexity: Double) -> JSON {
            .object(
                JSONObject([
                    ("layers", .int(checkpoint.layerCount)), ("parameters", .int(checkpoint.modelParameterCount)),
                    ("byteCount", .int(checkpoint.byteCount)), ("bitsPerWeight", .double(checkpoint.bitsPerWeight)),
                    ("perplexity", .double(perplexity)),
                ]))
        }
        guard let last = steps.last else { return [] }
        let list = steps.map { step in
            let kinds = zip(texts, step.divergences).map { text, found in
                JSON.object(
                    JSONObject([
                        ("text", .string(text.name)), ("tokens", .int(found.tokens)),
                        ("perplexity", .double(found.model.perplexity)),
                        ("wholePerplexity", .double(found.reference.perplexity)),
                        ("kl", .double(found.klDivergence)), ("sameNext", .double(found.topOneAgreement)),
                    ]))
            }
            return JSON.object(
                JSONObject([
                    ("step", .string(step.name)), ("layers", .int(step.layers)), ("byteCount", .int(step.byteCount)),
                    ("perplexity", .double(perplexity(step, \.model))), ("kl", .double(mean(step, \.klDivergence))),
                    ("sameNext", .double(mean(step, \.topOneAgreement))),
                    ("sameWriting", .double(step.answers.agreement(with: wholeAnswers))),
                    ("seconds", step.seconds.map(JSON.double) ?? .null), ("texts", .array(kinds)),
                    ("answer", .string(step.answers.answers.first?.text ?? "")),
                ]))
        }
        return [
            ("before", side(model, perplexity(last, \.reference))), ("after", side(written, perplexity(last, \.model))),
            ("steps", .array(list)),
        ]
    }
}

extension StringProtocol {
    /// The text with line ends and other control characters as spaces.
    fileprivate var onOneLine: String {
        String(map { $0.isNewline || $0 == "\t" ? " " : $0 }).escapingControls
    }
}

extension Checkpoint {
    /// The bits of all tensors divided by the number of parameters.
    var bitsPerWeight: Double { Double(byteCount) * 8 / Double(max(1, modelParameterCount)) }
}
