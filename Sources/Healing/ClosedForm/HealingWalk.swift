internal import Analysis
internal import Checkpoints
internal import Decoder
internal import Kernels
internal import Surgery
internal import Weights

/// The streams of the whole and of the cut model, side by side through the layers that stay.
final class HealingWalk {
    private let form: ClosedForm
    private let start: HealingStart
    private let kept: KeptLayers
    /// What an earlier run has fitted, and this one does; `nil` where nothing is kept.
    private let keptFits: KeptFits?
    /// The stream of the cut model.
    let cut: HiddenStates
    /// The stream of the cut model without a heal.
    let unhealed: UnhealedStream
    /// The cut model's stream at the input of a layer whose MLP reads it too; `nil` without layers of that kind.
    private let input: HiddenStates?
    /// The whole model's stream behind the attention of a layer: of all contexts where a norm is behind it, else of a batch.
    private let behindAttention: HiddenStates
    /// The cut model's stream of a batch with what the experts of a layer give.
    private let withExperts: Scratch
    /// The model with the weights that are fitted so far.
    private var healed: DecoderModel
    /// The way of the whole model's stream to the next gap, from the first layer that jumps over it to the last.
    private var jump: GapJump?
    private(set) var fits: WeightFits
    /// Layers whose MLP was not fitted because it has experts alone.
    private(set) var layersWithoutFit = 0
    private let progress: (@Sendable (_ done: Int, _ total: Int) -> Void)?
    private var done = 0

    /// The share of the error that one of two layers in a row has to take away for the next one to be fitted: behind them
    /// the gains of SmolLM2 add up to 1 % of the error, and fitting takes a fifth of the time.
    private static let leastGain = 0.002

    init(
        _ form: ClosedForm, _ start: HealingStart, _ kept: KeptLayers, _ keptFits: KeptFits?,
        _ progress: (@Sendable (_ done: Int, _ total: Int) -> Void)?
    ) throws(CheckpointError) {
        self.form = form
        self.start = start
        self.kept = kept
        self.keptFits = keptFits
        self.progress = progress
        let (model, whole) = (start.model, start.states)
        func states(_ stream: HealingStart.Stream, contexts: Int? = nil) throws(CheckpointError) -> HiddenStates {
            try HiddenStates(
                contexts: contexts ?? whole.contexts, contextLength: whole.contextLength, hidden: whole.hidden,
                isSpilled: contexts == nil && start.isSpilled(stream))
        }
        cut = try states(.cut)
        input = model.hasParallelLayers ? try states(.input) : nil
        behindAttention = try states(
            .behindAttention, contexts: model.hasNormsAfter ? nil : start.steps.contextsAtOnce)
        withExperts = Scratch(
            floats: model.hasExperts ? start.steps.contextsAtOnce * whole.contextLength * whole.hidden : 0)
        healed = model
        unhealed = try UnhealedStream(start)
        fits = WeightFits(model.checkpoint, threads: start.run.threads)
    }

    /// Whether the contexts that are fitted are of use from a kept layer on.
    private func fitsSomething(from index: Int) -> Bool {
        form.method == .refit
            ? start.running.contains(0) : kept.layers.indices.suffix(from: index).contains(where: kept.isBeforeGap)
    }

    func run() throws(CheckpointError) {
        var areTogether = true
        for index in kept.layers.indices {
            let layer = kept.layers[index]
            if areTogether, turn(index) == nil, !kept.isAfterGap(index) {
                try start.advance(to: layer + 1, step)
                continue
            }
            if areTogether {
                // A cut may begin with the first layer; else the streams part here.
                try start.advance(to: kept.isAfterGap(index) ? 0 : layer, step)
                cut.copy(start.states, contexts: start.running)
                unhealed.begin()
                areTogether = false
                if kept.isAfterGap(index) { try start.advance(to: layer, step) }
            }
            try unhealed.run(layer)
            if fitsSomething(from: index) {
                try fit(index, layer)
                if gainsNoMore(after: index) { start.leaveFitted() }
            } else {
                try pass(layer)
            }
        }
    }

    /// Whether the layers behind the last gap gain next to nothing any more, so that those that follow stay as they are.
    private func gainsNoMore(after index: Int) -> Bool {
        guard form.method == .refit, index > 0, [index - 1, index].allSatisfy(kept.isAfterGap),
            !kept.layers.indices.suffix(from: index).contains(where: kept.isBeforeGap)
        else { return false }
        return [index - 1, index].allSatisfy { index in
            fits.weights.gain(of: kept.layers[index]).map { $0 < Self.leastGain } ?? false
        }
    }

    private func step() {
        done += 1
        progress?(done, kept.count)
    }

    /// Runs a layer of the cut model over the contexts that judge, when nothing is left to fit.
    private func pass(_ layer: Int) throws(CheckpointError) {
        for batch in start.batches(start.judged) {
            try start.steps.run(layer, cut.context(batch.lowerBound), contexts: batch.count)
        }
        step()
    }

    /// The turn of a layer among those that jump over a gap together.
    private func turn(_ index: Int) -> KeptLayers.Turn? {
        kept.turn(of: index, within: form.method == .refit ? form.jumpLayers : 1)
    }

    /// Fits what is to be fitted in a layer, and takes both streams to the next layer that stays.
    private func fit(_ index: Int, _ layer: Int) throws(CheckpointError) {
        let turn = turn(index)
        let hasProduct = start.model.product(.feedForward, of: layer) != nil
        if let turn, turn.number == 1, form.method == .refit || !hasProduct {
            jump = try GapJump(start, over: turn.gap, step)
        }
        let fitsAttention = form.method == .refit ? turn != nil || kept.isAfterGap(index) : turn != nil && !hasProduct
        // Attention and MLP take a step each; attention takes both where the MLP is left as it is.
        try attend(layer, fits: fitsAttention, turn?.share(hasProduct ? -1 : 0)) { () throws(CheckpointError) in
            guard jump == nil else { return }
            start.didRunLayer()
            step()
            try start.states.checkFinite(start.running, from: "layer \(layer)", file: start.model.checkpoint.path)
            try start.advance(to: kept.next(after: index), step)
        }
        // At the end of its jump the whole model's stream stands behind the gap.
        if turn?.isLast == true { jump = nil }
        let ridges = turn == nil ? form.ridges.feedForward : form.ridges.gap
        try feedForward(layer, fits: form.method == .refit || turn != nil, turn?.share(0), ridges)
        try cut.checkFinite(
            start.running, from: "layer \(layer) of the cut model", file: start.model.checkpoint.path)
    }

    /// Runs a layer of the whole model and the attention of the same layer of the cut one, which is fitted.
    ///
    /// - Parameters:
    ///   - share: the share of the jump that the attention makes.
    ///   - goOn: takes the whole model's stream on to where the layer aims at.
    private func attend(
        _ layer: Int, fits isFitted: Bool, _ share: Float?, _ goOn: () throws(CheckpointError) -> Void
    ) throws(CheckpointError) {
        let steps = start.steps
        func behind(_ batch: Range<Int>) -> UnsafeMutablePointer<Float> {
            behindAttention.context(behindAttention.contexts == start.states.contexts ? batch.lowerBound : 0)
        }
        func rows(_ batch: Range<Int>) throws(CheckpointError) -> FitRows {
            let own = cut.context(batch.lowerBound)
            let operand = try steps.mix(layer, own, contexts: batch.count)
            return FitRows(inputs: operand, target: behind(batch), own: own, jump: way(batch, share))
        }
        let fit = isFitted ? try PartFit(start, .attention, of: layer, keptFits) : nil
        let whole = jump?.whole ?? start.states
        for batch in start.batches(start.running) {
            try steps.run(
                layer, whole.context(batch.lowerBound), contexts: batch.count,
                behindAttention: fit == nil ? nil : behind(batch))
            try fit?.add(batch, rows)
        }
        try goOn()
        try fit?.finish(&fits, ridges: form.ridges.attention, into: &healed, rows)
        if start.model.isParallel(layer) { input?.copy(cut, contexts: start.running) }
        for batch in start.batches(start.running) {
            let own = cut.context(batch.lowerBound)
            try steps.add(
                .attention, of: healed, layer, steps.mix(layer, own, contexts: batch.count), to: own)
        }
    }

    /// Runs the MLP of a layer of the cut model, which is fitted.
    private func feedForward(
        _ layer: Int, fits isFitted: Bool, _ share: Float?, _ ridges: [Double]
    ) throws(CheckpointError) {
        let (model, steps) = (start.model, start.steps)
        let target = jump?.whole ?? start.states
        let read = model.isParallel(layer) ? input ?? cut : cut
        if isFitted, model.product(.feedForward, of: layer) == nil { layersWithoutFit += 1 }
        if isFitted, let fit = try PartFit(start, .feedForward, of: layer, keptFits) {
            func rows(_ batch: Range<Int>) throws(CheckpointError) -> FitRows {
                var own = cut.context(batch.lowerBound)
                if model.hasExperts(layer) {
                    let count = batch.count * start.states.contextLength * model.hidden
                    withExperts.floats.update(from: own, count: count)
                    own = withExperts.floats
                }
                let operand = try steps.inner(
                    layer, read.context(batch.lowerBound), contexts: batch.count, addingRestTo: own)
                guard let operand else { preconditionFailure("layer \(layer) has no product to fit") }
                return FitRows(
                    inputs: operand, target: target.context(batch.lowerBound), own: own, jump: way(batch, share))
            }
            for batch in start.batches(start.running) { try fit.add(batch, rows) }
            try fit.finish(&fits, ridges: ridges, into: &healed, rows)
        }
        for batch in start.batches(start.running) {
            let own = cut.context(batch.lowerBound)
            let operand = try steps.inner(
                layer, read.context(batch.lowerBound), contexts: batch.count, addingRestTo: own)
            if let operand { try steps.add(.feedForward, of: healed, layer, operand, to: own) }
        }
    }

    /// The way over the gap ahead, with the share of it that a part makes.
    private func way(_ batch: Range<Int>, _ share: Float?) -> (way: UnsafePointer<Float>, share: Float)? {
        guard let jump, let share else { return nil }
        return (jump.way(batch.lowerBound), share)
    }
}

extension KeptLayers.Turn {
    /// The share of the jump that is made some steps before or after this layer, which takes two.
    fileprivate func share(_ steps: Int) -> Float { Float(2 * number + steps) / Float(2 * count) }
}
