public import Analysis
public import Checkpoints
internal import Decoder
public import Surgery

/// The loss of a model without some of its layers, which may be several runs.
public enum CutLoss {
    /// Measures cuts on the contexts of a corpus, with the half-context rule of `Evaluation`.
    ///
    /// The layers before the first gap of a cut are computed once for all cuts.
    ///
    /// - Parameters:
    ///   - cuts: the layers of each cut.
    ///   - checkpoint: the whole model, with weights that can be run.
    ///   - corpus: the text.
    ///   - run: how the model is run.
    ///   - progress: called with the layers done and the layers in all.
    /// - Returns: nats per token for each cut, in the given order; infinity where the cut causes NaN.
    /// - Throws: when resect cannot run the model, a cut names no layer or one that is not there, or the whole one computes NaN or infinity.
    public static func measure(
        _ cuts: [LayerRuns], of checkpoint: Checkpoint, corpus: Corpus, run: RunOptions,
        progress: ((_ done: Int, _ total: Int) -> Void)? = nil
    ) throws(CheckpointError) -> [Double] {
        let model = try DecoderModel(checkpoint)
        let count = model.layerCount
        for cut in cuts {
            try cut.check(count: count, file: checkpoint.path)
            if cut.isEmpty { throw CheckpointError(file: checkpoint.path, "a cut names no layer") }
        }
        let targets = Evaluation.targets(contexts: corpus.contexts)
        let last = cuts.compactMap(\.runs.first?.lowerBound).max() ?? 0
        let total = last + cuts.reduce(0) { $0 + count - ($1.runs.first?.lowerBound ?? count) - $1.count }
        var done = 0
        func advance(_ pass: ForwardPass) throws(CheckpointError) {
            try pass.advance()
            done += 1
            progress?(done, total)
        }
        var losses = Array(repeating: Double.infinity, count: cuts.count)
        let whole = try ForwardPass(
            model, contexts: corpus.inputs, precision: run.decoderPrecision, threads: run.threads,
            observer: FiniteStates(model, contextLength: corpus.contextLength))
        while true {
            for index in cuts.indices where cuts[index].runs.first?.lowerBound == whole.layer {
                var pass = whole
                for gap in cuts[index].runs {
                    while pass.layer < gap.lowerBound { try advance(pass) }
                    pass = pass.fork(continuingAt: gap.upperBound)
                }
                while pass.layer < count { try advance(pass) }
                let found = try pass.losses(of: targets, threads: run.threads)
                let mean = found.reduce(0, +) / Double(max(1, found.count))
                losses[index] = mean.isNaN ? .infinity : mean
            }
            if whole.layer >= last {
                try checkpoint.checkUnchanged()
                return losses
            }
            try advance(whole)
        }
    }
}
