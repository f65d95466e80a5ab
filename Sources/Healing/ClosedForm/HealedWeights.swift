package import Checkpoints
internal import Kernels
public import Surgery
internal import Weights

/// Weights of a model that were fitted anew, by the names and layer numbers that they have before the cut.
public struct HealedWeights: Sendable {
    /// One fitted weight.
    public struct Change: Sendable {
        /// The layer, counted before the cut.
        public let layer: Int
        /// The name of the tensor.
        public let name: String
        /// The ridge, as a multiple of the mean square of the inputs; `nil` for a weight that was only scaled.
        public let ridge: Double?
        /// The share of the squared error in the residual stream that is gone on held-out text; `nil` without any.
        public let gain: Double?
        /// Whether the weight gained nothing and stays as it was.
        public fileprivate(set) var isRejected: Bool
    }

    /// What was fitted, in order.
    public private(set) var changes: [Change] = []
    /// The weights in f32, by name.
    package private(set) var tensors: [Tensor] = []
    private var files: [MappedFile] = []

    init() {}

    /// Notes a weight that stays as it was.
    mutating func reject(_ layer: Int, _ name: String, ridge: Double, gain: Double?) {
        changes.append(Change(layer: layer, name: name, ridge: ridge, gain: gain, isRejected: true))
    }

    /// Keeps a weight W', [inputs, outputs], as a tensor [outputs, inputs] in a file without a name.
    @discardableResult
    mutating func keep(
        _ layer: Int, _ name: String, _ weight: DoubleMatrix, ridge: Double?, gain: Double?
    ) throws(CheckpointError) -> Tensor {
        var file = try UnnamedFile(name: "the healed weights")
        let rows = Scratch(floats: 64 * weight.rows)
        for start in stride(from: 0, to: weight.columns, by: 64) {
            let count = min(64, weight.columns - start)
            for input in 0..<weight.rows {
                let line = weight.row(input) + start
                for output in 0..<count { rows.floats[output * weight.rows + input] = Float(line[output]) }
            }
            try file.append(
                UnsafeRawBufferPointer(start: rows.base, count: count * weight.rows * MemoryLayout<Float>.size))
        }
        let size = file.byteCount
        let (mapped, recipes) = try file.mapped([0..<size])
        let tensor = Tensor(name: name, dtype: .f32, shape: [weight.columns, weight.rows], recipe: recipes[0])
        changes.append(Change(layer: layer, name: name, ridge: ridge, gain: gain, isRejected: false))
        tensors.removeAll { $0.name == name }
        tensors.append(tensor)
        files.append(mapped)
        return tensor
    }

    /// Lets all weights stay as they were.
    mutating func rejectAll() {
        for index in changes.indices { changes[index].isRejected = true }
        tensors = []
        files = []
    }

    /// Multiplies all values of a map.
    mutating func scale(_ layer: Int, _ linear: Linear, by factor: Float) {
        for tensor in [linear.weight, linear.bias].compactMap(\.self) {
            changes.append(Change(layer: layer, name: tensor.name, ridge: nil, gain: nil, isRejected: false))
            tensors.append(tensor.multiplied(by: factor))
        }
    }

    /// The edit that puts the weights into the model before its layers are cut.
    public var edit: ReplaceWeights { ReplaceWeights(tensors, sources: files) }
}
