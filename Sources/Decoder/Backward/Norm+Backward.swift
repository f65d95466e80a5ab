internal import CKernels
internal import Checkpoints
internal import Parallel

extension Norm {
    /// Adds the gradient with respect to the input.
    ///
    /// - Parameters:
    ///   - source: the start of a row of the input.
    ///   - gradient: the gradient with respect to the output, [rows, width].
    ///   - output: the start of the row that the gradient with respect to a row of the input is added to.
    func applyBackward(
        rows: Int, of source: @Sendable (Int) -> UnsafePointer<Float>, gradient: UnsafePointer<Float>,
        addingTo output: @Sendable (Int) -> UnsafeMutablePointer<Float>, threads: Int
    ) throws(CheckpointError) {
        let values = try NormValues(self)
        nonisolated(unsafe) let gradient = gradient
        let width = width
        Parallel.forEachRow(rows, workers: threads) { row in
            values.applyBackward(source(row), gradient: gradient + row * width, addingTo: output(row), count: width)
        }
    }
}

extension NormValues {
    /// Adds the gradient with respect to one row of the input.
    ///
    /// - Parameter first: the index in the weight of the row's first element.
    func applyBackward(
        _ source: UnsafePointer<Float>, gradient: UnsafePointer<Float>, addingTo output: UnsafeMutablePointer<Float>,
        first: Int = 0, count: Int
    ) {
        weights.withUnsafeBufferPointer { buffer in
            let weight = buffer.isEmpty ? nil : buffer.baseAddress.map { $0 + first }
            switch kind {
            case .rms: resect_rms_norm_backward(source, weight, gradient, output, count, epsilon)
            case .layer, .plain: resect_layer_norm_backward(source, weight, gradient, output, count, epsilon)
            }
        }
    }
}
