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
    private(set) var files: [MappedFile] = []

    init() {}

    /// The largest gain of a layer's weights, and 0 where none gained; `nil` where no text judged one.
    func gain(of layer: Int) -> Double? {
        changes.filter { $0.layer == layer }.compactMap(\.gain).max().map { max(0, $0) }
    }

    /// Weights that were fitted before.
    init(changes: [Change], tensors: [Tensor], files: [MappedFile]) {
        (self.changes, self.tensors, self.files) = (changes, tensors, files)
    }

    /// Notes a weight that stays as it was.
    mutating func reject(_ layer: Int, _ name: String, ridge: Double?, gain: Double?) {
        changes.append(Change(layer: layer, name: name, ridge: ridge, gain: gain, isRejected: true))
    }

    /// Keeps a weight as the model stores it.
    mutating func keep(_ layer: Int, _ tensor: Tensor, in file: MappedFile, ridge: Double?, gain: Double?) {
        changes.append(Change(layer: layer, name: tensor.name, ridge: ridge, gain: gain, isRejected: false))
        tensors.removeAll { $0.name == tensor.name }
        tensors.append(tensor)
        files.append(file)
    }

    /// A tensor [outputs, inputs] of W', [inputs, outputs], in a file without a name.
    static func transposed(
        _ weight: DoubleMatrix, name: String
    ) throws(CheckpointError) -> (file: MappedFile, tensor: Tensor) {
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
        return try mapped(file, name: name, shape: [weight.columns, weight.rows])
    }

    /// A tensor of one dimension in a file without a name.
    static func vector(_ values: [Float], name: String) throws(CheckpointError) -> (file: MappedFile, tensor: Tensor) {
        var file = try UnnamedFile(name: "the healed weights")
        let memory = Scratch(floats: values.count)
        memory.floats.update(from: values, count: values.count)
        try file.append(
            UnsafeRawBufferPointer(start: memory.base, count: values.count * MemoryLayout<Float>.size))
        return try mapped(file, name: name, shape: [values.count])
    }

    private static func mapped(
        _ file: consuming UnnamedFile, name: String, shape: [Int]
    ) throws(CheckpointError) -> (file: MappedFile, tensor: Tensor) {
        let size = file.byteCount
        let (mapped, recipes) = try file.mapped([0..<size])
        return (mapped, Tensor(name: name, dtype: .f32, shape: shape, recipe: recipes[0]))
    }

    /// Lets all weights stay as they were.
    mutating func rejectAll() {
        for index in changes.indices { changes[index].isRejected = true }
        tensors = []
        files = []
    }

    /// Takes a weight that was only scaled.
    mutating func scale(_ layer: Int, _ tensor: Tensor) {
        changes.append(Change(layer: layer, name: tensor.name, ridge: nil, gain: nil, isRejected: false))
        tensors.append(tensor)
    }

    /// The edit that puts the weights into the model before its layers are cut.
    public var edit: ReplaceWeights { ReplaceWeights(tensors, sources: files) }
}
