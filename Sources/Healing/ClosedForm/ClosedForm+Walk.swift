internal import Analysis
internal import Checkpoints
internal import Decoder
internal import Kernels
internal import Surgery
internal import Weights

extension ClosedForm {
    /// Fits the weights of a cut, from states at or before the layer in front of the first gap.
    func heal(
        _ start: HealingStart, dropping dropped: LayerRuns,
        progress: (@Sendable (_ done: Int, _ total: Int) -> Void)? = nil
    ) throws(CheckpointError) -> Result {
        let count = start.model.layerCount
        let kept = KeptLayers(count: count, dropped: dropped.runs.joined())
        let walk = try Walk(self, start, kept, progress)
        try walk.run()
        let finished = walk.isWholeModelDone
        let first = start.judged.lowerBound
        var result = Result(
            weights: walk.weights,
            wholeLoss: finished ? try start.loss(of: start.states.context(first)) : nil,
            cutLoss: try start.loss(of: walk.plain.context(0)),
            healedLoss: try start.loss(of: walk.cut.context(first)), contexts: start.fitted.count,
            tokens: start.fitted.count * start.states.contextLength, widestInput: walk.widestInput)
        if let cut = result.cutLoss, let healed = result.healedLoss, !(healed < cut) {
            result.weights.rejectAll()
            result.healedLoss = cut
        }
        return result
    }
}

/// The streams of the whole and of the cut model, side by side through the layers that stay.
private final class Walk {
    private let form: ClosedForm
    private let start: HealingStart
    private let kept: KeptLayers
    private let threads: Int
    /// The stream of the cut model.
    let cut: HiddenStates
    /// The stream of the cut model without a heal, for the contexts that judge.
    let plain: HiddenStates
    /// What attention mixes in the cut model, for all contexts of one layer.
    private let mixed: HiddenStates?
    private(set) var weights = HealedWeights()
    private(set) var widestInput = 0
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
        plain = try HiddenStates(
            contexts: start.judged.count, contextLength: states.contextLength, hidden: states.hidden,
            isSpilled: start.isSpilled)
        let widest = kept.layers.map { start.model.attentionOutput($0).inputs }.max() ?? 0
        mixed = form.method == .refit ? try memory(widest) : nil
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
                if !start.judged.isEmpty { plain.copy(start.states, contexts: start.judged) }
                areTogether = false
                if kept.isAfterGap(index) { try start.advance(to: layer, step) }
            }
            for batch in start.batches(start.judged) {
                let own = plain.context(batch.lowerBound - start.judged.lowerBound)
                try start.steps.run(layer, own, contexts: batch.count)
            }
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
        let attention = fitsAttention ? try Sums(start, output, threads: threads) : nil
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
            output = try solve(attention, output, layer, form.ridges.attention)
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
            let sums = try Sums(start, down, threads: threads)
            for batch in start.batches(start.all) {
                let own = cut.context(batch.lowerBound)
                let operand = try steps.inner(layer, own, contexts: batch.count)
                sums.add(batch, inputs: operand, target: start.states.context(batch.lowerBound), from: own)
            }
            let ridges = kept.isBeforeGap(index) ? form.ridges.gap : form.ridges.feedForward
            down = try solve(sums, down, layer, ridges)
        }
        for batch in start.batches(start.all) {
            let own = cut.context(batch.lowerBound)
            try steps.add(down, of: steps.inner(layer, own, contexts: batch.count), to: own)
        }
        try cut.checkFinite(start.all, from: "layer \(layer) of the cut model", file: model.checkpoint.path)
    }

    /// Fits one map; the old one when the new one is no better on the contexts that judge.
    private func solve(
        _ sums: Sums, _ linear: Linear, _ layer: Int, _ ridges: [Double]
    ) throws(CheckpointError) -> Linear {
        widestInput = max(widestInput, linear.inputs)
        let regression = RidgeRegression(fitted: sums.fitted, judged: sums.judged, threads: threads)
        let name = linear.weight.name
        let solution = try regression.solve(from: linear.weight, ridges: ridges, file: start.model.checkpoint.path)
        if let gain = solution.gain, gain <= 0 {
            weights.reject(layer, name, ridge: solution.ridge, gain: gain)
            return linear
        }
        let weight = try weights.keep(layer, name, solution.weight, ridge: solution.ridge, gain: solution.gain)
        return Linear(weight, bias: linear.bias)
    }
}

/// The moments of a map's inputs and of what its outputs should be, for both kinds of contexts.
private final class Sums {
    let fitted: SecondMoments
    let judged: SecondMoments?
    private let start: HealingStart
    private let bias: [Float]
    private let residual: Scratch
    private let columns: Int

    init(_ start: HealingStart, _ linear: Linear, threads: Int) throws(CheckpointError) {
        self.start = start
        columns = linear.outputs
        bias = try linear.bias?.floats() ?? []
        fitted = SecondMoments(inputs: linear.inputs, outputs: linear.outputs, threads: threads)
        judged =
            start.judged.isEmpty
            ? nil : SecondMoments(inputs: linear.inputs, outputs: linear.outputs, threads: threads)
        residual = Scratch(floats: start.steps.contextsAtOnce * start.steps.contextLength * linear.outputs)
    }

    /// Adds a batch of contexts: what is wanted of the map is the way from one stream to another.
    func add(
        _ batch: Range<Int>, inputs: MatrixOperand, target: UnsafePointer<Float>, from own: UnsafePointer<Float>
    ) {
        for row in 0..<inputs.rows {
            let line = residual.floats + row * columns
            for column in 0..<columns { line[column] = target[row * columns + column] - own[row * columns + column] }
            for column in bias.indices { line[column] -= bias[column] }
        }
        let sums = start.judged.contains(batch.lowerBound) ? judged : fitted
        sums?.add(inputs.values, residual.floats, rows: inputs.rows)
    }
}
