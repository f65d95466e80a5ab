public import Checkpoints
package import Decoder
internal import Parallel

/// The angular distances between the layers of a model, as in arXiv 2403.17887.
///
/// `d(l, m) = arccos(cos(x, y)) / pi`, from 0 to 1, where x is the input of layer l and y the input of layer m, in
/// the residual stream; index `layers` is the raw output of the last layer, before the final norm.
public struct Similarity: Sendable, Equatable {
    /// How many layers the model has.
    public let layers: Int
    /// How many contexts were run.
    public let samples: Int
    /// Tokens in a context.
    public let context: Int
    /// The mean over the last token of every context, [layers + 1, layers + 1].
    public let last: [[Double]]
    /// The mean over all tokens, if measured.
    public let all: [[Double]]?

    /// Distances that are known already.
    public init(layers: Int, samples: Int, context: Int, last: [[Double]], all: [[Double]]?) {
        self.layers = layers
        self.samples = samples
        self.context = context
        self.last = last
        self.all = all
    }

    /// Memory for hidden states. With --tokens all it holds those of every layer. One context is always run.
    private static let stateByteCount = 96 << 20

    /// Runs a model over a corpus and measures the distances between all pairs of layers.
    ///
    /// - Parameters:
    ///   - checkpoint: the model, with weights that can be run; it may be an edit that has not been written.
    ///   - corpus: the text that it is run over; every context begins with BOS where the model has one.
    ///   - overAllTokens: whether the mean over all tokens is measured too.
    ///   - run: how the model is run.
    ///   - progress: called with the layers done and the layers in all.
    /// - Throws: when the model cannot be run, or computes NaN or infinity.
    public static func measure(
        _ checkpoint: Checkpoint, corpus: Corpus, overAllTokens: Bool, run: RunOptions,
        progress: (@Sendable (_ done: Int, _ total: Int) -> Void)? = nil
    ) throws(CheckpointError) -> Similarity {
        let model = try DecoderModel(checkpoint)
        let (layers, hidden) = (model.plan.layers.count, model.plan.hidden)
        let contexts = corpus.inputs
        guard !contexts.isEmpty else { throw CheckpointError(file: corpus.path, "has no context to measure") }
        var lastSums = PairSums(layers: layers)
        var allSums = PairSums(layers: layers)
        // Contexts are run in groups, so that memory does not grow with their number.
        let kept = overAllTokens ? layers + 2 : 1
        let contextByteCount = kept * corpus.contextLength * hidden * MemoryLayout<Float>.size
        let size = max(1, min(contexts.count, stateByteCount / contextByteCount))
        let groups = stride(from: 0, to: contexts.count, by: size).map { start in
            Array(contexts[start..<min(start + size, contexts.count)])
        }
        for (number, group) in groups.enumerated() {
            let pass = try ForwardPass(
                model, contexts: group, precision: run.decoderPrecision, threads: run.threads,
                observer: FiniteStates(model, contextLength: corpus.contextLength, firstContext: number * size))
            let last = UnitStates(layers: layers, rows: group.count, hidden: hidden)
            let all =
                overAllTokens
                ? UnitStates(layers: layers, rows: group.count * corpus.contextLength, hidden: hidden) : nil
            for layer in 0...layers {
                for (row, _) in group.enumerated() {
                    let index = (row + 1) * corpus.contextLength - 1
                    last.set(layer: layer, row: row, pass.states + index * hidden)
                }
                all?.set(layer: layer, pass.states, threads: run.threads)
                if layer < layers { try pass.advance() }
                progress?(number * layers + min(layer + 1, layers), groups.count * layers)
            }
            lastSums.add(last, threads: run.threads)
            if let all { allSums.add(all, threads: run.threads) }
        }
        try checkpoint.checkUnchanged()
        return Similarity(
            layers: layers, samples: contexts.count, context: corpus.contextLength, last: lastSums.means(),
            all: overAllTokens ? allSums.means() : nil)
    }
}

/// How a model is run.
public struct RunOptions: Sendable {
    /// How products with bf16 weights are computed.
    public enum Precision: String, Sendable, CaseIterable {
        /// With activations in f32.
        case f32
        /// With activations rounded to bf16, twice as fast where the CPU has the instructions.
        case bf16
    }

    /// The precision.
    public var precision: Precision
    /// How many threads run.
    public var threads: Int

    /// Options of a run.
    public init(precision: Precision = .f32, threads: Int) {
        self.precision = precision
        self.threads = threads
    }

    /// The precision as the decoder names it.
    package var decoderPrecision: ForwardPass.Precision { precision == .bf16 ? .bf16 : .f32 }
}
