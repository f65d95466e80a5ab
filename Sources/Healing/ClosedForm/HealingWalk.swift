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
    /// What attention mixes in the cut model, for all contexts of one layer.
    private let mixed: HiddenStates?
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
        let states = start.states
        func memory(_ columns: Int) throws(CheckpointError) -> HiddenStates {
            try HiddenStates(
                contexts: states.contexts, contextLength: states.contextLength, hidden: columns,
                isSpilled: start.isSpilled)
        }
        cut = try memory(states.hidden)
        unhealed = try UnhealedStream(start)
        let widest = kept.layers.map { start.model.attentionOutput($0).inputs }.max() ?? 0
        mixed = form.method == .refit ? try memory(widest) : nil
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
            if areTogether, !kept.isBeforeGap(index), !kept.isAfterGap(index) {
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

    /// Fits what is to be fitted in a layer, and takes both streams to the next layer that stays.
    private func fit(_ index: Int, _ layer: Int) throws(CheckpointError) {
        let (model, steps) = (start.model, start.steps)
        var output = model.attentionOutput(layer)
        let fitsAttention = form.method == .refit && kept.isAfterGap(index)
        let attention = fitsAttention ? try FitMoments(start, output, threads: threads) : nil
        for batch in start.batches(start.all) {
            let whole = start.states.context(batch.lowerBound)
            try steps.add(output, of: steps.mix(layer, whole, contexts: batch.count), to: whole)
            let own = cut.context(batch.lowerBound)
            let operand = try steps.mix(layer, own, contexts: batch.count)
            if let attention, let mixed {
                attention.add(batch, inputs: operand, target: whole, from: own)
                mixed.context(batch.lowerBound, columns: operand.columns)
                    .update(from: operand.values, count: operand.rows * operand.columns)
            } else {
                try steps.add(output, of: operand, to: own)
            }
            try steps.add(
                model.feedForwardDown(layer), of: steps.inner(layer, whole, contexts: batch.count), to: whole)
        }
        start.didRunLayer()
        step()
        try start.states.checkFinite(start.all, from: "layer \(layer)", file: model.checkpoint.path)
        try start.advance(to: kept.next(after: index), step)
        if let attention, let mixed {
            output = try fits.fit(output, of: layer, to: attention, ridges: form.ridges.attention)
            for batch in start.batches(start.all) {
                let rows = batch.count * cut.contextLength
                let operand = MatrixOperand(
                    mixed.context(batch.lowerBound, columns: output.inputs), rows: rows, columns: output.inputs,
                    bf16: nil, threads: threads)
                try steps.add(output, of: operand, to: cut.context(batch.lowerBound))
            }
        }
        var down = model.feedForwardDown(layer)
        if form.method == .refit || kept.isBeforeGap(index) {
            let sums = try FitMoments(start, down, threads: threads)
            for batch in start.batches(start.all) {
                let own = cut.context(batch.lowerBound)
                let operand = try steps.inner(layer, own, contexts: batch.count)
                sums.add(batch, inputs: operand, target: start.states.context(batch.lowerBound), from: own)
            }
            let ridges = kept.isBeforeGap(index) ? form.ridges.gap : form.ridges.feedForward
            down = try fits.fit(down, of: layer, to: sums, ridges: ridges)
        }
        for batch in start.batches(start.all) {
            let own = cut.context(batch.lowerBound)
            try steps.add(down, of: steps.inner(layer, own, contexts: batch.count), to: own)
        }
        try cut.checkFinite(start.all, from: "layer \(layer) of the cut model", file: model.checkpoint.path)
    }
}
