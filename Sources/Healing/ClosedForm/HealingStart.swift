internal import Analysis
package import Checkpoints
internal import Decoder

/// The whole model's stream at the input of some layer, for contexts that are fitted and, behind them, contexts that judge.
final class HealingStart {
    let model: DecoderModel
    let run: RunOptions
    let steps: LayerSteps
    /// The stream; its contexts are those that are fitted, then those that judge.
    let states: HiddenStates
    let fitted: Range<Int>
    let judged: Range<Int>
    /// The tokens that the judging contexts are scored on, by their index among these contexts' tokens.
    let targets: [(index: Int, token: Int32)]
    /// The layer whose input the states are.
    private(set) var layer = 0
    /// The contexts that are still run: all of them, or those that judge when nothing is left to fit.
    private(set) var running: Range<Int>
    /// How many streams of all contexts memory has room for; the others lie in temporary files.
    private let streamsInMemory: Int

    /// The streams of all contexts, those that are gone through most often first.
    enum Stream: Int {
        /// The whole model's, and the cut one's.
        case whole, cut
        /// The cut model's at the input of a layer whose MLP reads it too, and the whole one's behind attention.
        case input, behindAttention
        /// The whole model's in the layers that jump over a gap, and its way over the gap.
        case jump, way
    }

    /// Looks up the embeddings.
    ///
    /// - Parameter memoryByteCount: how many bytes of states are held in memory.
    init(
        _ model: DecoderModel, fitting: Corpus, choosing: Corpus?, run: RunOptions, memoryByteCount: Int
    ) throws(CheckpointError) {
        self.model = model
        self.run = run
        let length = fitting.contextLength
        if let choosing, choosing.contextLength != length {
            throw CheckpointError(
                file: choosing.path,
                "has contexts of \(choosing.contextLength.grouped) tokens, and the text for fitting of \(length.grouped)"
            )
        }
        guard !fitting.contexts.isEmpty else { throw CheckpointError(file: fitting.path, "has no context to fit to") }
        let contexts = fitting.inputs + (choosing?.inputs ?? [])
        fitted = 0..<fitting.contexts.count
        judged = fitted.upperBound..<contexts.count
        running = 0..<contexts.count
        targets = choosing.map { Evaluation.targets(contexts: $0.contexts) } ?? []
        let bytes = contexts.count * length * model.hidden * MemoryLayout<Float>.size
        streamsInMemory = memoryByteCount / max(1, bytes)
        states = try HiddenStates(
            contexts: contexts.count, contextLength: length, hidden: model.hidden, isSpilled: streamsInMemory == 0)
        steps = LayerSteps(
            model, contexts: contexts.count, contextLength: length, precision: run.decoderPrecision,
            threads: run.threads)
        for (index, context) in contexts.enumerated() { try model.embed([context], into: states.context(index)) }
    }

    /// The same states, to go on from without changing these.
    init(copying other: HealingStart) throws(CheckpointError) {
        (model, run, steps, fitted, judged) = (other.model, other.run, other.steps, other.fitted, other.judged)
        (targets, layer, running) = (other.targets, other.layer, other.running)
        streamsInMemory = other.streamsInMemory
        states = try other.states.copy(isSpilled: streamsInMemory == 0)
    }

    /// Whether a stream lies in a temporary file.
    func isSpilled(_ stream: Stream) -> Bool {
        // Where nothing is parallel or normed behind, the streams for it are not there.
        let absent: [Stream] =
            (model.hasParallelLayers ? [] : [.input]) + (model.hasNormsAfter ? [] : [.behindAttention])
        return stream.rawValue - absent.count(where: { $0.rawValue < stream.rawValue }) >= streamsInMemory
    }

    /// Runs the contexts that judge alone from here on.
    func leaveFitted() { running = judged }

    /// Ranges of neighbouring contexts that are run together; none holds contexts of both kinds.
    func batches(_ contexts: Range<Int>) -> [Range<Int>] {
        [fitted, judged].flatMap { part in
            let part = part.clamped(to: contexts)
            return stride(from: part.lowerBound, to: part.upperBound, by: steps.contextsAtOnce).map {
                $0..<min(part.upperBound, $0 + steps.contextsAtOnce)
            }
        }
    }

    /// Runs the whole model up to the input of a layer.
    func advance(to layer: Int, _ done: () -> Void = {}) throws(CheckpointError) {
        while self.layer < layer {
            for batch in batches(running) {
                try steps.run(self.layer, states.context(batch.lowerBound), contexts: batch.count)
            }
            try states.checkFinite(running, from: "layer \(self.layer)", file: model.checkpoint.path)
            self.layer += 1
            done()
        }
    }

    /// Says that a caller has run the next layer on its own.
    func didRunLayer() { layer += 1 }

    /// The losses of the judging contexts, when the states are those after the last layer; `nil` without any.
    func evaluation() throws(CheckpointError) -> Evaluation? { try evaluation(of: states.context(judged.lowerBound)) }

    /// The losses of the judging contexts for their states after the last layer; `nil` without any.
    func evaluation(of states: UnsafeMutablePointer<Float>) throws(CheckpointError) -> Evaluation? {
        guard !targets.isEmpty else { return nil }
        var sums = LossSums()
        for loss in try model.losses(of: targets, states: states, threads: run.threads) { sums.add(loss) }
        return sums.evaluation
    }
}

extension ClosedForm.Method {
    /// Refuses a model that this method cannot heal, before any work.
    package func check(_ checkpoint: Checkpoint) throws(CheckpointError) { try check(DecoderModel(checkpoint)) }

    func check(_ model: DecoderModel) throws(CheckpointError) {
        let hint = "--heal none (shrink) or --method none (heal) cuts without it"
        if self == .magnitude, !model.hasNormsBefore {
            throw CheckpointError(
                file: model.checkpoint.path,
                "its layers read the hidden states without a norm, so magnitude would change what they compute",
                hint: hint)
        }
        guard let name = model.joinedProduct else { return }
        throw CheckpointError(
            file: model.checkpoint.path, tensor: name, "holds other weights beside the one that would be fitted",
            hint: hint)
    }
}
