internal import ArgumentParser
internal import Checkpoints
internal import Healing

/// How much worse than the whole model an output may be.
struct RatioLimit: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Write nothing and exit with 1 when the perplexity is more than x times that of the whole model; inf "
                + "permits any. Default: 1.5 with --heal none, else inf.",
            valueName: "x"))
    var maxPerplexityRatio: Double?

    /// From this ratio on a cut that was not healed is refused, and any other is told to be bad.
    private static let bad = 1.5

    func validate() throws {
        if let maxPerplexityRatio, !(maxPerplexityRatio > 0) {
            throw ValidationError("--max-perplexity-ratio must be above 0")
        }
    }

    private func limit(heals: Bool) -> Double { maxPerplexityRatio ?? (heals ? .infinity : RatioLimit.bad) }

    /// Whether the output is too bad to be written.
    func isExceeded(by steps: ShrinkSteps, heals: Bool) -> Bool { !(steps.perplexityRatio <= limit(heals: heals)) }

    /// Refuses an output that is too bad.
    func check(_ steps: ShrinkSteps, heals: Bool, path: String) throws(CheckpointError) {
        guard isExceeded(by: steps, heals: heals) else { return }
        throw CheckpointError(
            file: path,
            "is not written: its perplexity is \(steps.perplexityRatio.fixed(2)) times that of the whole model, more than "
                + "\(limit(heals: heals).fixed(2))",
            hint: (heals ? "drop fewer layers" : "heal the cut, drop fewer layers")
                + ", or permit it with --max-perplexity-ratio")
    }

    /// What the user should know of an output that is written though it is bad.
    func note(_ steps: ShrinkSteps) -> String? {
        if let worse = steps.uselessHeal { return worse }
        guard steps.perplexityRatio > RatioLimit.bad else { return nil }
        return
            "the perplexity is \(steps.perplexityRatio.fixed(2)) times that of the whole model: the output is much worse; drop "
            + "fewer layers, or store all of them in fewer bits"
    }
}
