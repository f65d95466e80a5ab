internal import CKernels
internal import Checkpoints
internal import Kernels
internal import Parallel
internal import Weights

extension Norm {
    /// Adds the gradient by the input.
    ///
    /// - Parameters:
    ///   - source: the start of a row of the input.
    ///   - gradient: the gradient by the result, [rows, elements of the weight].
    ///   - output: the start of the row that the gradient by a row of the input is added to.
    func applyBackward(
        rows: Int, of source: @Sendable (Int) -> UnsafePointer<Float>, gradient: UnsafePointer<Float>,
        addingTo output: @Sendable (Int) -> UnsafeMutablePointer<Float>, threads: Int
    ) throws(CheckpointError) {
        let weights = try weight?.floats() ?? []
        nonisolated(unsafe) let gradient = gradient
        let (width, epsilon, kind) = (width, epsilon, kind)
        Parallel.forEachRow(rows, workers: threads) { row in
            weights.withUnsafeBufferPointer { weights in
                let (x, g) = (source(row), gradient + row * width)
                switch kind {
                case .rms: resect_rms_norm_backward(x, weights.baseAddress, g, output(row), width, epsilon)
                case .layer, .plain:
                    resect_layer_norm_backward(
                        x, weights.isEmpty ? nil : weights.baseAddress, g, output(row), width, epsilon)
                }
            }
        }
    }
}
