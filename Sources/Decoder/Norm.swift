internal import CKernels
package import Checkpoints
package import Formats
internal import Parallel
internal import Weights

/// A norm over rows.
///
///     rms:    x / sqrt(mean(x^2) + epsilon) * weight
///     layer:  (x - mean(x)) / sqrt(variance(x) + epsilon) * weight + bias
package struct Norm: Sendable {
    /// RMS or layer norm; `plain` is a layer norm without a weight.
    package let kind: LayerDescription.Norm
    /// [elements of a row]; `nil` only for `plain`.
    package private(set) var weight: Tensor?
    /// [elements of a row]
    package let bias: Tensor?
    /// The constant added to the mean square or the variance.
    package let epsilon: Float
    /// Elements of a row.
    let width: Int

    /// The norm with another weight.
    package func with(weight: Tensor) -> Norm {
        var result = self
        result.weight = weight
        return result
    }

    /// Normalizes rows at any addresses.
    ///
    /// - Parameters:
    ///   - source: the start of a row of the input; it may be that of the output.
    ///   - output: [rows, width].
    func apply(
        rows: Int, of source: @Sendable (Int) -> UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>,
        threads: Int
    ) throws(CheckpointError) {
        try NormValues(self).apply(rows: rows, of: source, into: output, threads: threads)
    }

    /// Normalizes rows in place.
    func apply(inPlace rows: Int, _ values: UnsafeMutablePointer<Float>, threads: Int) throws(CheckpointError) {
        nonisolated(unsafe) let rowStart = UnsafePointer(values)
        let width = width
        try apply(rows: rows, of: { rowStart + $0 * width }, into: values, threads: threads)
    }

    /// Normalizes rows in place as if the weight were 1 and the bias 0.
    package func applyWithoutWeight(inPlace rows: Int, _ values: UnsafeMutablePointer<Float>, threads: Int) {
        nonisolated(unsafe) let rowStart = UnsafePointer(values)
        let width = width
        NormValues(withoutWeight: self).apply(
            rows: rows, of: { rowStart + $0 * width }, into: values, threads: threads)
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

    init(withoutWeight norm: Norm) {
        kind = norm.kind
        weights = Array(repeating: 1, count: norm.width)
        biases = []
        (width, epsilon) = (norm.width, norm.epsilon)
    }

    /// Normalizes rows at any addresses into [rows, width].
    func apply(
        rows: Int, of source: @Sendable (Int) -> UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>,
        threads: Int
    ) {
        nonisolated(unsafe) let output = output
        Parallel.forEachRow(rows, workers: threads) { row in apply(source(row), into: output + row * width) }
    }

    /// Normalizes a row.
    ///
    /// - Parameter first: the index in the weight of the row's first element.
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
