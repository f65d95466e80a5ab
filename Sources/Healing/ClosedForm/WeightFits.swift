internal import Checkpoints
internal import Weights

/// The weights that a heal has fitted so far.
struct WeightFits {
    private(set) var weights = HealedWeights()
    /// The inputs of the widest map that was fitted.
    private(set) var widestInput = 0
    /// The model, for messages.
    let file: String
    let threads: Int

    /// No weights yet.
    init(file: String, threads: Int) {
        self.file = file
        self.threads = threads
    }

    /// Fits one map; the old one when the new one is no better on the contexts that judge.
    mutating func fit(
        _ linear: Linear, of layer: Int, to moments: FitMoments, ridges: [Double]
    ) throws(CheckpointError) -> Linear {
        widestInput = max(widestInput, linear.inputs)
        let regression = RidgeRegression(fitted: moments.fitted, judged: moments.judged, threads: threads)
        let name = linear.weight.name
        let solution = try regression.solve(from: linear.weight, ridges: ridges, file: file)
        if let gain = solution.gain, gain <= 0 {
            weights.reject(layer, name, ridge: solution.ridge, gain: gain)
            return linear
        }
        let weight = try weights.keep(layer, name, solution.weight, ridge: solution.ridge, gain: solution.gain)
        return Linear(weight, bias: linear.bias)
    }
}
