public import Analysis
public import Checkpoints
internal import Decoder
internal import Kernels
public import Surgery
internal import Weights

/// Heals a cut without training: fits the output products of the layers that stay so that the residual stream of the cut
/// model follows that of the whole model over some text.
///
/// Layers are taken in order. With x the cut model's stream at the input of a layer, corrections so far included, and X^l the
/// whole model's stream at the input of layer l, the output product of attention aims at the whole model's stream behind the
/// same attention, and the last product of the MLP at X of the next layer that stays. The layers before a gap have to make a
/// jump; so they get a small ridge, and those behind it a large one, which keeps them close to what they were. A refit lets two
/// layers jump together: their products aim at the same plus equal steps of the way that the whole model makes in the gap.
///
/// A factor of what layers add divides what their products aim at. An MLP beside attention aims at what attention leaves. Where a
/// norm is behind a product see `NormTarget`. Of experts only one that all tokens use is fitted.
public struct ClosedForm: Sendable {
    /// What is fitted.
    public enum Method: String, Sendable, CaseIterable {
        /// Attention and MLP of the layers that jump over a gap together, and of every layer behind one.
        case refit
        /// The MLP of the layer before every gap alone.
        case bridge
        /// Nothing but one factor for each gap, which scales the layers behind it.
        case magnitude
    }

    /// How much a fitted weight is held to what it was, as multiples of the mean square of its inputs.
    public struct Ridges: Sendable, Equatable {
        /// For the layer before a gap.
        public var gap: [Double]
        /// For attention's output behind a gap.
        public var attention: [Double]
        /// For the MLP behind a gap.
        public var feedForward: [Double]

        /// Values that held on several kinds of text.
        public static let standard = Ridges(gap: [5e-4], attention: [0.01], feedForward: [0.2])
        /// Several values for each weight; held-out text chooses.
        public static let automatic = Ridges(
            gap: [5e-4, 2e-3, 1e-2, 5e-2], attention: [0.01, 0.05, 0.2, 1], feedForward: [0.2, 0.05, 0.8, 3])
    }

    /// What is fitted.
    public var method: Method
    /// The ridges.
    public var ridges: Ridges
    /// How many layers before a gap jump over it together in a refit, attention and MLP an equal share each.
    public var jumpLayers = 2
    /// Bytes that hidden states may take; beyond it they lie in a temporary file.
    public var memoryByteCount: Int

    /// A heal.
    public init(method: Method = .refit, ridges: Ridges = .standard, memoryByteCount: Int = 768 << 20) {
        self.method = method
        self.ridges = ridges
        self.memoryByteCount = memoryByteCount
    }

    /// A healed cut.
    public struct Result: Sendable {
        /// The fitted weights.
        public internal(set) var weights: HealedWeights
        /// The whole model on the held-out contexts; `nil` without any.
        public internal(set) var whole: Evaluation?
        /// The cut model on them without a heal.
        public internal(set) var cut: Evaluation?
        /// The healed model on them. A heal that does not lower the loss is left out.
        public internal(set) var healed: Evaluation?
        /// Contexts that were fitted.
        public let contexts: Int
        /// Tokens that were fitted, and the widest input that had to be fitted with them.
        public let tokens: Int, widestInput: Int
        /// Layers whose MLP stays as it was because it is made of experts, without one that all tokens use.
        public let layersOfExperts: Int

        /// The loss of the whole model, in nats per token.
        public var wholeLoss: Double? { whole?.negativeLogLikelihood }
        /// The loss of the cut model without a heal, in nats per token.
        public var cutLoss: Double? { cut?.negativeLogLikelihood }
        /// The loss of the healed model, in nats per token.
        public var healedLoss: Double? { healed?.negativeLogLikelihood }

        /// The share of the lost log-perplexity that the heal gives back on the held-out contexts.
        public var shareGivenBack: Double? {
            guard let wholeLoss, let cutLoss, let healedLoss, cutLoss > wholeLoss else { return nil }
            return (cutLoss - healedLoss) / (cutLoss - wholeLoss)
        }
    }

    /// Fits the weights of a cut.
    ///
    /// - Parameters:
    ///   - checkpoint: the whole model, with weights that can be run.
    ///   - dropped: the layers that are cut.
    ///   - fitting: text that the weights are fitted to.
    ///   - choosing: text of other kinds that decides whether a fitted weight is better than the one before; `nil` without any.
    ///   - run: how the model is run.
    ///   - progress: called with the layers done and the layers in all.
    /// - Throws: when the model cannot be run, it lacks a layer of the cut, the texts differ in the length of their
    ///   contexts, or it computes NaN or infinity.
    public func heal(
        _ checkpoint: Checkpoint, dropping dropped: LayerRuns, fitting: Corpus, choosing: Corpus?, run: RunOptions,
        progress: (@Sendable (_ done: Int, _ total: Int) -> Void)? = nil
    ) throws(CheckpointError) -> Result {
        try heal(
            checkpoint, dropping: dropped, fitting: fitting, choosing: choosing, run: run, keeping: nil,
            progress: progress)
    }

    /// Fits the weights of a cut, and keeps what is fitted for a later run.
    func heal(
        _ checkpoint: Checkpoint, dropping dropped: LayerRuns, fitting: Corpus, choosing: Corpus?, run: RunOptions,
        keeping fits: KeptFits?, progress: (@Sendable (_ done: Int, _ total: Int) -> Void)?
    ) throws(CheckpointError) -> Result {
        let model = try DecoderModel(checkpoint)
        try method.check(model)
        try dropped.check(count: model.layerCount, file: checkpoint.path)
        guard !dropped.isEmpty, dropped.count < model.layerCount else {
            throw CheckpointError(
                file: checkpoint.path,
                "has \(model.layerCount) layers, and a cut drops some of them, not \(dropped.count)")
        }
        let start = try HealingStart(
            model, fitting: fitting, choosing: choosing, run: run, memoryByteCount: memoryByteCount)
        var result =
            method == .magnitude
            ? try scaled(start, dropping: dropped, progress: progress)
            : try heal(start, dropping: dropped, keeping: fits, progress: progress)
        start.leaveFitted()
        try start.advance(to: model.layerCount)
        result.whole = try start.evaluation()
        if method == .magnitude, let choosing {
            try result.judge(checkpoint, dropping: dropped) { (model) throws(CheckpointError) in
                try HealingStart(
                    model, fitting: choosing, choosing: choosing, run: run, memoryByteCount: memoryByteCount)
            }
        }
        try checkpoint.checkUnchanged()
        return result
    }
}

extension ClosedForm {
    /// Fits the weights of a cut, from states at or before the layer in front of the first gap; without the whole model's loss.
    func heal(
        _ start: HealingStart, dropping dropped: LayerRuns, keeping fits: KeptFits? = nil,
        progress: (@Sendable (_ done: Int, _ total: Int) -> Void)? = nil
    ) throws(CheckpointError) -> Result {
        let count = start.model.layerCount
        let kept = KeptLayers(count: count, dropped: dropped.runs.joined())
        let walk = try HealingWalk(self, start, kept, fits, progress)
        try walk.run()
        let first = start.judged.lowerBound
        var result = Result(
            weights: walk.fits.weights,
            whole: nil, cut: try walk.unhealed.evaluation(),
            healed: try start.evaluation(of: walk.cut.context(first)), contexts: start.fitted.count,
            tokens: start.fitted.count * start.states.contextLength, widestInput: walk.fits.widestInput,
            layersOfExperts: walk.layersWithoutFit)
        result.rejectWithoutGain()
        return result
    }
}

extension ClosedForm.Result {
    /// Leaves the heal out where it does not lower the loss.
    mutating func rejectWithoutGain() {
        // A cut that computes NaN is worse than any heal that does not.
        guard let loss = cutLoss, let healedLoss, !(healedLoss < (loss.isNaN ? .infinity : loss)) else { return }
        weights.rejectAll()
        healed = cut
    }
}
