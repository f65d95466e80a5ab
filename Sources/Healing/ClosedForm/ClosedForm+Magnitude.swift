internal import Analysis
internal import Checkpoints
internal import Decoder
internal import Formats
internal import Surgery
internal import Weights

extension ClosedForm {
    /// A heal by factors, not judged yet.
    func scaled(
        _ start: HealingStart, dropping dropped: LayerRuns,
        progress: (@Sendable (_ done: Int, _ total: Int) -> Void)? = nil
    ) throws(CheckpointError) -> Result {
        Result(
            weights: try scale(start, dropping: dropped, progress: progress), whole: nil, cut: nil,
            healed: nil, contexts: start.fitted.count, tokens: start.fitted.count * start.states.contextLength,
            widestInput: 0, layersOfExperts: 0)
    }

    /// The weights that make up for the growth of the stream over the gaps.
    ///
    /// Behind a gap the stream should be `a` times as long as the one before it, with `a` the mean over all tokens. To scale it
    /// is to divide what all later layers add by `a`: norms, also the last one, do not see the length of the stream.
    func scale(
        _ start: HealingStart, dropping dropped: LayerRuns,
        progress: (@Sendable (_ done: Int, _ total: Int) -> Void)? = nil
    ) throws(CheckpointError) -> HealedWeights {
        let model = start.model
        var weights = HealedWeights()
        var factor = 1.0
        var lengths: [Double] = []
        for layer in 0..<model.layerCount {
            let isDropped = dropped.contains(layer)
            if isDropped != (layer > 0 && dropped.contains(layer - 1)) {
                let now = start.lengths()
                if isDropped {
                    lengths = now
                } else {
                    let ratios = zip(now, lengths).filter { $1 > 0 }.map { $0 / $1 }
                    factor *= ratios.reduce(0, +) / Double(max(1, ratios.count))
                }
            }
            if !isDropped, factor != 1 {
                for part in StreamPart.allCases {
                    try scale(part, of: layer, model, by: Float(1 / factor), &weights)
                }
            }
            if layer < dropped.upperBound {
                try start.advance(to: layer + 1) { progress?(layer + 1, dropped.upperBound) }
            }
        }
        return weights
    }

    /// Multiplies what a part of a layer adds to the stream: the norm behind it, or else the products themselves.
    private func scale(
        _ part: StreamPart, of layer: Int, _ model: DecoderModel, by factor: Float, _ weights: inout HealedWeights
    ) throws(CheckpointError) {
        let checkpoint = model.checkpoint
        guard let settings = checkpoint.settings else { return }
        for role in model.addingRoles(part, of: layer).compactMap(settings.architecture.tensor(role:)) {
            guard let stored = checkpoint.part(of: role) else { continue }
            for name in stored.names {
                let experts = name.isPerExpert ? try settings.expertCount(role) : 1
                for expert in 0..<experts {
                    let name = name.name(layer: layer, expert: expert)
                    guard let tensor = checkpoint.tensors.first(where: { $0.name == name }) else { continue }
                    var scaled = tensor
                    if stored.adds != 0 { scaled = try scaled.adding(Float(stored.adds), file: checkpoint.path) }
                    scaled = scaled.multiplied(by: factor)
                    if stored.adds != 0 { scaled = try scaled.adding(-Float(stored.adds), file: checkpoint.path) }
                    weights.scale(layer, scaled)
                }
            }
        }
    }
}

extension ClosedForm.Result {
    /// Measures the cut model with and without the weights, and leaves them out where they do not lower the loss.
    ///
    /// - Parameter states: the embeddings of the contexts that judge.
    mutating func judge(
        _ checkpoint: Checkpoint, dropping dropped: LayerRuns,
        states: (DecoderModel) throws(CheckpointError) -> HealingStart
    ) throws(CheckpointError) {
        let edit = CutLayers(layers: dropped)
        func evaluation(_ checkpoint: Checkpoint) throws(CheckpointError) -> Evaluation? {
            let start = try states(DecoderModel(checkpoint))
            start.leaveFitted()
            try start.advance(to: start.model.layerCount)
            return try start.evaluation()
        }
        cut = try evaluation(edit.apply(to: checkpoint))
        healed = try evaluation(edit.apply(to: weights.edit.apply(to: checkpoint)))
        rejectWithoutGain()
    }
}

extension HealingStart {
    /// The length of the state of every token that is fitted.
    fileprivate func lengths() -> [Double] {
        let hidden = states.hidden, first = states.context(0)
        return (0..<fitted.count * states.contextLength).map { token in
            (0..<hidden).reduce(0.0) { sum, column in
                let value = Double(first[token * hidden + column])
                return sum + value * value
            }.squareRoot()
        }
    }
}
