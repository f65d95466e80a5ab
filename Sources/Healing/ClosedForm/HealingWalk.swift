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
    private let threads: Int
    /// The stream of the cut model.
    let cut: HiddenStates
    /// The stream of the cut model without a heal.
    let unhealed: UnhealedStream
    /// The way of the whole model's stream to the next gap, from the first layer that jumps over it to the last.
    private var jump: GapJump?
    private(set) var fits: WeightFits
    private let progress: (@Sendable (_ done: Int, _ total: Int) -> Void)?
    private var done = 0

    init(
        _ form: ClosedForm, _ start: HealingStart, _ kept: KeptLayers,
        _ progress: (@Sendable (_ done: Int, _ total: Int) -> Void)?
    ) throws(CheckpointError) {
        self.form = form
        self.start = start
        self.kept = kept
        self.progress = progress
        threads = start.run.threads
        cut = try HiddenStates(
            contexts: start.states.contexts, contextLength: start.states.contextLength, hidden: start.states.hidden,
            isSpilled: start.isSpilled)
        unhealed = try UnhealedStream(start)
        fits = WeightFits(file: start.model.checkpoint.path, threads: threads)
    }

    /// Whether the whole model's stream went through all layers too.
    var isWholeModelDone: Bool { start.layer == kept.count }

    /// Whether the contexts that are fitted are of use from a kept layer on.
    private func fitsSomething(from index: Int) -> Bool {
        form.method == .refit || kept.layers.indices.suffix(from: index).contains(where: kept.isBeforeGap)
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
                cut.copy(start.states, contexts: start.all)
                unhealed.begin()
                areTogether = false
                if kept.isAfterGap(index) { try start.advance(to: layer, step) }
            }
            try unhealed.run(layer)
            if fitsSomething(from: index) {
                try fit(index, layer)
            } else {
                try pass(layer)
            }
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
        let (model, steps) = (start.model, start.steps)
        let turn = turn(index)
        if form.method == .refit, let turn, turn.number == 1 { jump = try GapJump(start, over: turn.gap, step) }
        let whole = jump?.whole ?? start.states
        // Attention and MLP take a step each.
        func share(_ steps: Int) -> Float { turn.map { Float(2 * $0.number + steps) / Float(2 * $0.count) } ?? 0 }
        var output = model.attentionOutput(layer)
        let fitsAttention = form.method == .refit && (turn != nil || kept.isAfterGap(index))
        let attention = fitsAttention ? try FitMoments(start, output, threads: threads) : nil
        for batch in start.batches(start.all) {
            let theirs = whole.context(batch.lowerBound)
            try steps.add(output, of: steps.mix(layer, theirs, contexts: batch.count), to: theirs)
            let own = cut.context(batch.lowerBound)
            let operand = try steps.mix(layer, own, contexts: batch.count)
            if let attention {
                attention.add(
                    batch, inputs: operand, target: theirs, from: own,
                    jump: jump.map { ($0.way(batch.lowerBound), share(-1)) })
            } else {
                try steps.add(output, of: operand, to: own)
            }
            try steps.add(
                model.feedForwardDown(layer), of: steps.inner(layer, theirs, contexts: batch.count), to: theirs)
        }
        if jump == nil {
            start.didRunLayer()
            step()
            try start.states.checkFinite(start.all, from: "layer \(layer)", file: model.checkpoint.path)
            try start.advance(to: kept.next(after: index), step)
        }
        if let attention {
            output = try fits.fit(output, of: layer, to: attention, ridges: form.ridges.attention)
            for batch in start.batches(start.all) {
                let own = cut.context(batch.lowerBound)
                try steps.add(output, of: steps.mix(layer, own, contexts: batch.count), to: own)
            }
        }
        // At the end of its jump the whole model's stream stands behind the gap.
        if turn?.isLast == true { jump = nil }
        let target = jump?.whole ?? start.states
        var down = model.feedForwardDown(layer)
        if form.method == .refit || turn != nil {
            let moments = try FitMoments(start, down, threads: threads)
            for batch in start.batches(start.all) {
                let own = cut.context(batch.lowerBound)
                let operand = try steps.inner(layer, own, contexts: batch.count)
                moments.add(
                    batch, inputs: operand, target: target.context(batch.lowerBound), from: own,
                    jump: jump.map { ($0.way(batch.lowerBound), share(0)) })
            }
            let ridges = turn == nil ? form.ridges.feedForward : form.ridges.gap
            down = try fits.fit(down, of: layer, to: moments, ridges: ridges)
        }
        for batch in start.batches(start.all) {
            let own = cut.context(batch.lowerBound)
            try steps.add(down, of: steps.inner(layer, own, contexts: batch.count), to: own)
        }
        try cut.checkFinite(start.all, from: "layer \(layer) of the cut model", file: model.checkpoint.path)
    }
}
