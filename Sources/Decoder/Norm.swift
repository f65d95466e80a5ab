internal import CKernels
internal import Checkpoints
internal import Formats
internal import Parallel
internal import Weights

/// A norm over rows.
///
///     rms:    x / sqrt(mean(x^2) + epsilon) * weight
///     layer:  (x - mean(x)) / sqrt(variance(x) + epsilon) * weight + bias
struct Norm: Sendable {
    let kind: LayerDescription.Norm
    /// [elements of a row]; `nil` for the kind `plain` alone.
    let weight: Tensor?
    /// [elements of a row]
    let bias: Tensor?
    let epsilon: Float
    /// Elements of a row.
    let width: Int

    /// Normalizes rows at any addresses.
    ///
    /// - Parameters:
    ///   - source: the start of a row of the input; it may be that of the output.
    ///   - output: [rows, width].
    func apply(
        rows: Int, of source: @Sendable (Int) -> UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>,
        threads: Int
    ) throws(CheckpointError) {
        let values = try NormValues(self)
        nonisolated(unsafe) let output = output
        let width = width
        Parallel.forEachRow(rows, workers: threads) { row in
            values.apply(source(row), into: output + row * width)
        }
    }

    /// Normalizes rows in place.
    func apply(inPlace rows: Int, _ values: UnsafeMutablePointer<Float>, threads: Int) throws(CheckpointError) {
        nonisolated(unsafe) let rowStart = UnsafePointer(values)
        let width = width
        try apply(rows: rows, of: { rowStart + $0 * width }, into: values, threads: threads)
    }
}

/// A norm with its weights decoded.
struct NormValues: Sendable {
    let kind: LayerDescription.Norm
    let weights, biases: [Float]
    let width: Int
    let epsilon: Float

    init(_ norm: Norm) throws(CheckpointError) {
        kind = norm.kind
        weights = try norm.weight?.floats() ?? []
        biases = try norm.bias?.floats() ?? []
        (width, epsilon) = (norm.width, norm.epsilon)
    }

    /// Normalizes a row.
    ///
    /// - Parameter first: the element of the weight that belongs to the first of the row.
    func apply(
        _ source: UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>, first: Int = 0, count: Int? = nil
    ) {
        let count = count ?? width
        weights.withUnsafeBufferPointer { weights in
            biases.withUnsafeBufferPointer { biases in
                let weight = weights.baseAddress.map { $0 + first }, bias = biases.baseAddress.map { $0 + first }
                switch kind {
                case .rms: resect_rms_norm(source, weight, output, count, epsilon)
                case .layer, .plain:
                    resect_layer_norm(
                        source, self.weights.isEmpty ? nil : weight, self.biases.isEmpty ? nil : bias, output, count,
                        epsilon)
                }
            }
        }
    }
}
