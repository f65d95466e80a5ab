internal import Checkpoints
internal import Decoder
internal import Formats
internal import Kernels
internal import Weights

/// The weights that a heal has fitted so far.
struct WeightFits {
    private(set) var weights = HealedWeights()
    /// What was fitted since `takePart`, as the decoder multiplies by it.
    private var part = HealedWeights()
    /// The inputs of the widest map that was fitted.
    private(set) var widestInput = 0
    private let checkpoint: Checkpoint
    private let threads: Int

    /// How much the weight of a norm is held to what it was.
    static let normRidge = 0.01

    /// No weights yet.
    init(_ checkpoint: Checkpoint, threads: Int) {
        self.checkpoint = checkpoint
        self.threads = threads
    }

    /// Fits one map; the old one when the new one is no better on the contexts that judge.
    ///
    /// - Parameters:
    ///   - role: the role of its weight.
    ///   - gain: measures what a new map gains, where the moments do not tell; `nil` without contexts that judge.
    mutating func fit(
        _ linear: Linear, _ role: String, of layer: Int, to moments: FitMoments, ridges: [Double],
        gain: ((Linear) throws(CheckpointError) -> Double?)? = nil
    ) throws(CheckpointError) -> Linear {
        widestInput = max(widestInput, linear.inputs)
        let regression = RidgeRegression(fitted: moments.fitted, judged: moments.judged, threads: threads)
        let name = linear.weight.name
        guard let solution = try regression.solve(from: linear.weight, ridges: ridges, file: checkpoint.path) else {
            reject(layer, name, ridge: ridges.first, gain: moments.judged == nil ? nil : 0)
            return linear
        }
        var gained = solution.gain
        if gain == nil, let gained, gained <= 0 {
            reject(layer, name, ridge: solution.ridge, gain: gained)
            return linear
        }
        let (file, tensor) = try HealedWeights.transposed(solution.weight, name: name)
        let fitted = Linear(tensor, bias: linear.bias)
        if let gain { gained = try gain(fitted) }
        if let gained, !(gained > 0) {
            reject(layer, name, ridge: solution.ridge, gain: gained)
            return linear
        }
        try keep(layer, tensor, role, in: file, ridge: solution.ridge, gain: gained)
        return fitted
    }

    /// Takes new values for a vector, unless they gain nothing.
    mutating func take(
        _ values: [Float], for old: Tensor, _ role: String, of layer: Int, ridge: Double, gain: Double?
    ) throws(CheckpointError) -> Tensor {
        if let gain, !(gain > 0) {
            reject(layer, old.name, ridge: ridge, gain: gain)
            return old
        }
        let (file, tensor) = try HealedWeights.vector(values, name: old.name)
        try keep(layer, tensor, role, in: file, ridge: ridge, gain: gain)
        return tensor
    }

    /// Takes over what an earlier run has fitted in a part.
    ///
    /// - Parameters:
    ///   - inputs: the inputs of its product.
    ///   - role: gives the role of a weight.
    /// - Returns: the weights by name.
    mutating func take(
        _ kept: HealedWeights, inputs: Int, role: (_ name: String) -> String?
    ) throws(CheckpointError) -> [String: Tensor] {
        widestInput = max(widestInput, inputs)
        var found: [String: Tensor] = [:]
        for change in kept.changes {
            guard let tensor = kept.tensors.first(where: { $0.name == change.name }), let file = kept.files.first,
                let role = role(change.name)
            else {
                reject(change.layer, change.name, ridge: change.ridge, gain: change.gain)
                continue
            }
            found[change.name] = tensor
            try keep(change.layer, tensor, role, in: file, ridge: change.ridge, gain: change.gain)
        }
        return found
    }

    /// What was fitted since this was last asked for.
    mutating func takePart() -> HealedWeights {
        defer { part = HealedWeights() }
        return part
    }

    private mutating func reject(_ layer: Int, _ name: String, ridge: Double?, gain: Double?) {
        weights.reject(layer, name, ridge: ridge, gain: gain)
        part.reject(layer, name, ridge: ridge, gain: gain)
    }

    private mutating func keep(
        _ layer: Int, _ tensor: Tensor, _ role: String, in file: MappedFile, ridge: Double?, gain: Double?
    ) throws(CheckpointError) {
        weights.keep(layer, try stored(tensor, role), in: file, ridge: ridge, gain: gain)
        part.keep(layer, tensor, in: file, ridge: ridge, gain: gain)
    }

    /// The tensor as the model stores it: transposed, or as the distance from 1, where it does so.
    private func stored(_ tensor: Tensor, _ role: String) throws(CheckpointError) -> Tensor {
        guard let settings = checkpoint.settings, let known = settings.architecture.tensor(role: role),
            let part = checkpoint.part(of: known)
        else { return tensor }
        return try settings.stored(part, from: tensor, file: checkpoint.path)
    }
}
