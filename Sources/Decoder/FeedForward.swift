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
        try Linear.apply(
            [Linear.Target(gate, buffers.gate.floats), Linear.Target(up, buffers.up.floats)], to: operand,
            buffers: buffers.linear)
        activate(operand.rows, buffers)
        let inner = buffers.operand(buffers.gate, rows: operand.rows, columns: width)
        try observation.operand(inner, of: [.down])
        return inner
    }

    /// `gate = silu(gate) * up`
    private func activate(_ rows: Int, _ buffers: LayerBuffers) {
        let width = width
        Parallel.forEachRow(rows, workers: buffers.linear.threads) { row in
            resect_silu_times(buffers.gate.floats + row * width, buffers.up.floats + row * width, width)
        }
    }
}
