public import Checkpoints
internal import Decoder

/// The loss without each of several runs of layers, measured by running the model without it.
public struct RunLoss: Sendable {
    /// The loss of the whole model, in nats per token.
    public let whole: Double
    /// The runs with their losses, in the given order.
    public let runs: [LayerRun]

    /// The run with the least loss.
    public var best: LayerRun? { runs.min { ($0.loss ?? .infinity) < ($1.loss ?? .infinity) } }

    /// Losses that were measured.
    package init(whole: Double, runs: [LayerRun]) {
        self.whole = whole
        self.runs = runs
    }

    /// Measures runs on the contexts of a corpus, with the half-context rule of `Evaluation`.
    ///
    /// The layers before a run are computed once for all runs. Where a run starts, the hidden states are copied and
    /// continue after it.
    ///
    /// - Throws: when resect cannot run the model, or it computes NaN or infinity. A run whose cut causes that has an
    ///   infinite loss.
    public static func measure(
        _ runs: [LayerRun], of checkpoint: Checkpoint, corpus: Corpus, run: RunOptions,
        progress: (@Sendable (_ done: Int, _ total: Int) -> Void)? = nil
    ) throws(CheckpointError) -> RunLoss {
        try Evaluation.checkScored(corpus)
        let model = try DecoderModel(checkpoint)
        let layers = model.plan.layers.count
        let targets = Evaluation.targets(contexts: corpus.contexts)
        let total = layers + runs.reduce(0) { $0 + layers - $1.layers.upperBound }
        var done = 0
        func step() {
            done += 1
            progress?(done, total)
        }
        func loss(_ pass: ForwardPass) throws(CheckpointError) -> Double {
            let losses = try pass.losses(of: targets, threads: run.threads)
            let mean = losses.reduce(0, +) / Double(max(losses.count, 1))
            return mean.isNaN ? .infinity : mean
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
                measured[index].loss = try loss(cut)
            }
            try pass.advance()
            step()
        }
        return RunLoss(whole: try Evaluation.finite(loss(pass), checkpoint), runs: measured)
    }
}
