internal import Analysis
internal import Checkpoints
internal import Decoder
internal import Surgery

extension ClosedForm {
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
                for linear in [model.attentionOutput(layer), model.feedForwardDown(layer)] {
                    weights.scale(layer, linear, by: Float(1 / factor))
                }
            }
            if layer < dropped.upperBound {
                try start.advance(to: layer + 1) { progress?(layer + 1, dropped.upperBound) }
            }
        }
        return weights
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
