internal import CKernels
internal import Checkpoints
internal import Kernels
internal import Parallel
internal import Weights

/// A gated MLP: `down(silu(gate x) * up x)`.
struct FeedForward: Sendable {
    let gate, up, down: Linear

    /// Columns between the products.
    var width: Int { gate.outputs }

    /// The operand of the last product, `silu(gate x) * up x`, [rows, width].
    ///
    /// - Parameter operand: x, the normed stream.
    func inner(
        _ operand: MatrixOperand, _ buffers: LayerBuffers, _ observation: LayerObservation
    ) throws(CheckpointError) -> MatrixOperand {
        try observation.operand(operand, of: [.gate, .up])
        try gateAndUp(operand, buffers)
        activate(operand.rows, buffers)
        let inner = buffers.operand(buffers.inner, rows: operand.rows, columns: width)
        try observation.operand(inner, of: [.down])
        return inner
    }

    /// The products before the activation.
    func gateAndUp(_ operand: MatrixOperand, _ buffers: LayerBuffers) throws(CheckpointError) {
        try Linear.apply(
            [Linear.Target(gate, buffers.gate.floats), Linear.Target(up, buffers.up.floats)], to: operand,
            buffers: buffers.linear)
    }

    /// `inner = silu(gate) * up`
    private func activate(_ rows: Int, _ buffers: LayerBuffers) {
        let width = width
        Parallel.forEachRow(rows, workers: buffers.linear.threads) { row in
            let inner = buffers.inner.floats + row * width
            if buffers.keepsGate { inner.update(from: buffers.gate.floats + row * width, count: width) }
            resect_silu_times(inner, buffers.up.floats + row * width, width)
        }
    }
}
