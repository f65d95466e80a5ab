internal import CKernels
internal import Checkpoints
internal import Kernels
internal import Parallel
internal import Weights

extension FeedForward {
    /// Writes the gradient by the normed stream.
    ///
    /// - Parameters:
    ///   - operand: the normed stream.
    ///   - gradient: the gradient by the result, [rows, hidden].
    ///   - output: [rows, hidden]; `nil` when only the adapters' gradients are wanted.
    ///   - buffers: with `gate` and `up` as they were before the activation; both are used up.
    func applyBackward(
        _ operand: MatrixOperand, gradient: UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>?,
        _ buffers: LayerBuffers, _ backward: BackwardBuffers, _ sums: LayerGradients
    ) throws(CheckpointError) {
        let (rows, threads) = (operand.rows, buffers.linear.threads)
        let (gate, up) = (buffers.gate.floats, buffers.up.floats)
        try down.applyBackward(gradient, rows: rows, into: backward.inner.floats, threads: threads)
        activateBackward(rows, buffers, backward)
        let product = buffers.operand(backward.product, rows: rows, columns: width)
        try sums.add(.down, down, gradient, product, buffers.linear)
        try sums.add(.gate, self.gate, gate, operand, buffers.linear)
        try sums.add(.up, self.up, up, operand, buffers.linear)
        guard let output else { return }
        try self.gate.applyBackward(gate, rows: rows, into: output, threads: threads)
        try self.up.applyBackward(up, rows: rows, into: output, accumulates: true, threads: threads)
    }

    private func activateBackward(_ rows: Int, _ buffers: LayerBuffers, _ backward: BackwardBuffers) {
        let width = width
        Parallel.forEachRow(rows, workers: buffers.linear.threads) { row in
            let first = row * width
            resect_silu_times_backward(
                buffers.gate.floats + first, buffers.up.floats + first, backward.inner.floats + first,
                backward.product.floats + first, width)
        }
    }
}
