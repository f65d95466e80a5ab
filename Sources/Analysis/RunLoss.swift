public import Checkpoints
internal import Decoder

/// The loss without each of several runs of layers, measured by running the model without it.
public struct RunLoss: Sendable {
    /// The loss of the whole model, in nats per token.
    public let whole: Double
    /// The standard error of that loss.
    public let wholeError: Double
    /// How many tokens were scored.
    public let tokens: Int
    /// The runs with their losses, in the given order.
    public let runs: [LayerRun]

    /// The run with the least loss.
    public var best: LayerRun? { runs.min { ($0.loss ?? .infinity) < ($1.loss ?? .infinity) } }

    /// Losses that were measured.
    package init(whole: Double, wholeError: Double = 0, tokens: Int = 0, runs: [LayerRun]) {
        (self.whole, self.wholeError, self.tokens, self.runs) = (whole, wholeError, tokens, runs)
    }

    /// Measures runs on the contexts of a corpus, with the half-context rule of `Evaluation`.
    ///
    /// The layers before a run are computed once for all runs. Where a run starts, the hidden states are copied and
    /// continue after it.
    ///
    /// - Throws: when resect cannot run the model, it lacks the layers of a run, or it computes NaN or infinity. A run whose cut causes that has an
    ///   infinite loss.
    public static func measure(
        _ runs: [LayerRun], of checkpoint: Checkpoint, corpus: Corpus, run: RunOptions,
        progress: (@Sendable (_ done: Int, _ total: Int) -> Void)? = nil
    ) throws(CheckpointError) -> RunLoss {
        try Evaluation.checkScored(corpus)
        let model = try DecoderModel(checkpoint)
        let layers = model.plan.layers.count
        if let wrong = runs.first(where: {
            $0.layers.isEmpty || $0.layers.lowerBound < 0 || $0.layers.upperBound > layers
        }) {
            throw CheckpointError(
                file: checkpoint.path,
                "the layers \(wrong.layers.lowerBound):\(wrong.layers.upperBound) are no run of its \(layers)")
        }
        let targets = Evaluation.targets(contexts: corpus.contexts)
        let total = layers + runs.reduce(0) { $0 + layers - $1.layers.upperBound }
        var done = 0
        func step() {
            done += 1
            progress?(done, total)
        }
        func sums(_ pass: ForwardPass) throws(CheckpointError) -> LossSums {
            var sums = LossSums()
            for loss in try pass.losses(of: targets, threads: run.threads) { sums.add(loss) }
            return sums
        }
        var measured = runs
        let pass = try ForwardPass(
            model, contexts: corpus.inputs, precision: run.decoderPrecision, threads: run.threads,
            observer: FiniteStates(model, contextLength: corpus.contextLength))
        for layer in 0..<layers {
            for index in measured.indices where measured[index].layers.lowerBound == layer {
                let cut = pass.fork(continuingAt: measured[index].layers.upperBound)
                while cut.layer < layers {
                    try cut.advance()
                    step()
                }
                let found = try sums(cut)
                measured[index].loss = found.mean.isNaN ? .infinity : found.mean
                measured[index].lossError = found.standardError
            }
            try pass.advance()
            step()
        }
        let whole = try sums(pass)
        try checkpoint.checkUnchanged()
        return RunLoss(
            whole: try Evaluation.finite(whole.mean, checkpoint), wholeError: whole.standardError,
            tokens: targets.count, runs: measured)
    }
}
