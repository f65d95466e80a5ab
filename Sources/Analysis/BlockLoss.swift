public import Checkpoints
internal import Decoder

/// What cutting each of some blocks costs, measured by running the model without it.
public struct BlockLoss: Sendable {
    /// The loss of the whole model, in nats per token.
    public let whole: Double
    /// The blocks with their losses, in the order in which they were given.
    public let blocks: [Block]

    /// The block of least loss.
    public var best: Block? { blocks.min { ($0.loss ?? .infinity) < ($1.loss ?? .infinity) } }

    /// Measures blocks on the contexts of a corpus, with the half-context rule of `Evaluation`.
    ///
    /// The layers before a block are run once for all: where a block starts, the states are copied and go on behind it.
    ///
    /// - Throws: when the model cannot be run, or computes NaN or infinity; a block whose cut makes it do so has an infinite loss.
    public static func measure(
        _ blocks: [Block], of checkpoint: Checkpoint, corpus: Corpus, run: RunOptions,
        progress: (@Sendable (_ done: Int, _ total: Int) -> Void)? = nil
    ) throws(CheckpointError) -> BlockLoss {
        try Evaluation.checkScored(corpus)
        let model = try DecoderModel(checkpoint)
        let layers = model.plan.layers.count
        let targets = Evaluation.targets(contexts: corpus.contexts)
        let total = layers + blocks.reduce(0) { $0 + layers - $1.layers.upperBound }
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
        var measured = blocks
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
        return BlockLoss(whole: try Evaluation.finite(loss(pass), checkpoint), blocks: measured)
    }
}
