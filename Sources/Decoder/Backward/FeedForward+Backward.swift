internal import CKernels
internal import Checkpoints
internal import Kernels
internal import Parallel
internal import Weights

extension FeedForward {
    /// Writes the gradient with respect to the normed stream.
    ///
    /// - Parameters:
    ///   - operand: the normed stream.
    ///   - gradient: the gradient with respect to the output, [rows, hidden].
    ///   - output: [rows, hidden]; `nil` when only the adapters' gradients are wanted.
    ///   - buffers: hold `gate` and `up` as they were before the activation; both are overwritten.
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
        let parts = self.gate.map { [(ProductRole.gate, $0, gate), (.up, self.up, up)] } ?? [(.up, self.up, gate)]
        for (index, (role, linear, part)) in parts.enumerated() {
            try sums.add(role, linear, part, operand, buffers.linear)
            guard let output else { continue }
            try linear.applyBackward(part, rows: rows, into: output, accumulates: index > 0, threads: threads)
        }
    }

    private func activateBackward(_ rows: Int, _ buffers: LayerBuffers, _ backward: BackwardBuffers) {
        let (width, activation, isGated) = (width, activation, gate != nil)
        Parallel.forEachRow(rows, workers: buffers.linear.threads) { row in
            let first = row * width
            let (gate, up) = (buffers.gate.floats + first, buffers.up.floats + first)
            let (gradient, product) = (backward.inner.floats + first, backward.product.floats + first)
            if isGated {
                activation.applyBackward(gate, times: up, gradient: gradient, product: product, count: width)
            } else {
                activation.applyBackward(gate, gradient: gradient, value: product, count: width)
            }
        }
    }
}
