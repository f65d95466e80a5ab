internal import Analysis
internal import Checkpoints
internal import Formats
internal import Healing
internal import Surgery

extension ShrinkSteps {
    /// Prints the table, a sample answer, and what the bytes cost without a cut.
    func show() {
        var table = Table(["", "whole"] + steps.map(\.step.name))
        func row(_ name: String, _ first: String, _ value: (Measured) -> String) {
            table.add([name, first] + steps.map(value))
        }
        row("layers", "\(whole.layerCount)") { "\($0.step.checkpoint.layerCount)" }
        row("parameters", whole.modelParameterCount.grouped) { $0.step.checkpoint.modelParameterCount.grouped }
        row("bytes", whole.byteCount.grouped) { $0.step.checkpoint.byteCount.grouped }
        row("bits per weight", whole.bitsPerWeight.fixed(2)) { $0.step.checkpoint.bitsPerWeight.fixed(2) }
        for (index, text) in texts.enumerated() {
            let reference = steps.first?.divergences[index].reference.perplexityText(3) ?? ""
            row("perplexity, \(text.name)", reference) { $0.divergences[index].model.perplexityText(3) }
        }
        row("KL divergence", "") { ShrinkSteps.mean($0.divergences, \.klDivergence).fixed(4) }
        row("same next token", "") { (100 * ShrinkSteps.mean($0.divergences, \.topOneAgreement)).fixed(1) + "%" }
        row("same when writing", "") { (100 * $0.answers.agreement(with: wholeAnswers)).fixed(1) + "%" }
        table.print()
        let corpus = texts[0].corpus
        Output.line(
            "judged on \((steps.first?.divergences.reduce(0) { $0 + $1.tokens } ?? 0).grouped) tokens in "
                + "\(counted(texts.reduce(0) { $0 + $1.corpus.contexts.count }, "context")) of \(corpus.contextLength) tokens, second "
                + "halves; writing: \(counted(wholeAnswers.answers.count, "prompt")), \(ShrinkSteps.answerLength) tokens each"
        )
        for step in steps.map(\.step) {
            if let seconds = step.seconds { Output.line("\(step.name) was made in \(seconds.fixed(1)) s") }
        }
        if let first = wholeAnswers.answers.first {
            Output.line()
            Output.line("prompt: …\(first.prompt.suffix(120).onOneLine)")
            Output.line("whole:  \(first.text.onOneLine)")
            for measured in steps {
                Output.line("\((measured.step.name + ":").padded(7)) \(measured.answers.answers[0].text.onOneLine)")
            }
        }
        Output.line(uncutText)
    }

    private var uncutText: String {
        let bytes = steps.last?.step.checkpoint.byteCount ?? 0
        guard let uncut, let last = steps.last else {
            return "no type is small enough to keep all layers in \(bytes.byteText)"
        }
        func perplexity(_ divergences: [Divergence]) -> String {
            ShrinkSteps.perplexity(divergences, \.model).fixed(3) + " ± "
                + ShrinkSteps.perplexityError(divergences, \.model).fixed(3)
        }
        func divergence(_ divergences: [Divergence]) -> String {
            ShrinkSteps.mean(divergences, \.klDivergence).fixed(4)
        }
        return
            "without a cut, \(uncut.model.type) takes \(uncut.model.checkpoint.byteCount.byteText) (here \(bytes.byteText)) "
            + "and has over all judged text perplexity \(perplexity(uncut.divergences)) (here \(perplexity(last.divergences))) "
            + "and KL divergence \(divergence(uncut.divergences)) (here \(divergence(last.divergences)))"
    }

    /// What to say where a heal made the cut worse on the text that judges; `nil` where it did not.
    var uselessHeal: String? {
        let heals = ClosedForm.Method.allCases.map(\.rawValue) + ["lora"]
        guard let cut = steps.first(where: { $0.step.name == "cut" }),
            let healed = steps.last(where: { heals.contains($0.step.name) })
        else { return nil }
        let (before, after) = (perplexity(cut), perplexity(healed))
        guard after > before else { return nil }
        return
            "the heal does not help on this text: perplexity \(before.fixed(2)) without it, \(after.fixed(2)) with it; heal on "
            + "more text, or on more kinds of it"
    }

    private func perplexity(_ step: Measured) -> Double { ShrinkSteps.perplexity(step.divergences, \.model) }

    /// Members of the JSON output.
    var json: [(String, JSON)] {
        guard let last = steps.last else { return [] }
        return [
            ("before", side(whole, last.divergences, \.reference)),
            ("after", side(last.step.checkpoint, last.divergences, \.model)),
            ("perplexityRatio", .double(perplexityRatio)),
            ("steps", .array(steps.map(json))), ("uncut", uncutJSON),
        ]
    }

    private func side(
        _ checkpoint: Checkpoint, _ divergences: [Divergence], _ value: (Divergence) -> Evaluation
    ) -> JSON {
        .object(
            JSONObject([
                ("layers", .int(checkpoint.layerCount)), ("parameters", .int(checkpoint.modelParameterCount)),
                ("byteCount", .int(checkpoint.byteCount)), ("bitsPerWeight", .double(checkpoint.bitsPerWeight)),
                ("perplexity", .double(ShrinkSteps.perplexity(divergences, value))),
                ("perplexityError", .double(ShrinkSteps.perplexityError(divergences, value))),
            ]))
    }

    private func json(_ measured: Measured) -> JSON {
        let (step, divergences) = (measured.step, measured.divergences)
        let kinds = zip(texts, divergences).map { text, found in
            JSON.object(
                JSONObject([
                    ("text", .string(text.name)), ("tokens", .int(found.tokens)),
                    ("perplexity", .double(found.model.perplexity)),
                    ("perplexityError", .double(found.model.perplexityError)),
                    ("wholePerplexity", .double(found.reference.perplexity)),
                    ("wholePerplexityError", .double(found.reference.perplexityError)),
                    ("kl", .double(found.klDivergence)), ("sameNext", .double(found.topOneAgreement)),
                ]))
        }
        return .object(
            JSONObject([
                ("step", .string(step.name)), ("layers", .int(step.checkpoint.layerCount)),
                ("byteCount", .int(step.checkpoint.byteCount)),
                ("perplexity", .double(ShrinkSteps.perplexity(divergences, \.model))),
                ("perplexityError", .double(ShrinkSteps.perplexityError(divergences, \.model))),
                ("kl", .double(ShrinkSteps.mean(divergences, \.klDivergence))),
                ("sameNext", .double(ShrinkSteps.mean(divergences, \.topOneAgreement))),
                ("sameWriting", .double(measured.answers.agreement(with: wholeAnswers))),
                ("seconds", step.seconds.map(JSON.double) ?? .null), ("texts", .array(kinds)),
                ("answer", .string(measured.answers.answers.first?.text ?? "")),
            ]))
    }

    /// What the same bytes would buy without a cut; null when no type is small enough.
    private var uncutJSON: JSON {
        guard let uncut else { return .null }
        return .object(
            JSONObject([
                ("type", .string(uncut.model.type)), ("byteCount", .int(uncut.model.checkpoint.byteCount)),
                ("perplexity", .double(ShrinkSteps.perplexity(uncut.divergences, \.model))),
                ("perplexityError", .double(ShrinkSteps.perplexityError(uncut.divergences, \.model))),
                ("kl", .double(ShrinkSteps.mean(uncut.divergences, \.klDivergence))),
            ]))
    }
}

extension Evaluation {
    /// The perplexity with its standard error.
    ///
    /// - Parameter digits: how many decimal digits both have.
    func perplexityText(_ digits: Int) -> String { "\(perplexity.fixed(digits)) ± \(perplexityError.fixed(digits))" }
}

extension StringProtocol {
    /// The text with line ends and other control characters as spaces.
    fileprivate var onOneLine: String {
        String(map { $0.isNewline || $0 == "\t" ? " " : $0 }).escapingControls
    }
}

extension Checkpoint {
    /// The bits of all tensors divided by the number of parameters.
    var bitsPerWeight: Double { bitsPerWeight(of: modelParameterCount) }

    /// The bits of all tensors divided by a number of parameters that is known.
    func bitsPerWeight(of parameters: Int) -> Double { Double(byteCount) * 8 / Double(max(1, parameters)) }
}
