internal import CKernels
internal import Checkpoints
internal import Parallel
internal import Weights

/// A norm over rows: `x / sqrt(mean(x^2) + epsilon) * weight`.
struct Norm: Sendable {
    let weight: Tensor
    let epsilon: Float

    /// Normalizes rows at any addresses.
    ///
    /// - Parameters:
    ///   - source: the start of a row of the input.
    ///   - output: [rows, elements of the weight].
    func apply(
        rows: Int, of source: @Sendable (Int) -> UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>,
        threads: Int
    ) throws(CheckpointError) {
        let weights = try weight.floats()
        nonisolated(unsafe) let output = output
        let (width, epsilon) = (weights.count, epsilon)
        Parallel.forEachRow(rows, workers: threads) { row in
            resect_rms_norm(source(row), weights, output + row * width, width, epsilon)
        }
    }
}
