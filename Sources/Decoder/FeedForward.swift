internal import Checkpoints
internal import Kernels
internal import Parallel
internal import Weights

/// An MLP: `down(act(gate x) * up x)`, or without a gate `down(act(up x))`.
struct FeedForward: Sendable {
    let gate: Linear?
    let up: Linear
    var down: Linear
    let activation: Activation

    /// Columns between the products.
    var width: Int { up.outputs }

    /// The operand of the last product, [rows, width].
    ///
    /// - Parameter operand: x, the normed stream.
    func inner(
        _ operand: MatrixOperand, _ buffers: LayerBuffers, _ observation: LayerObservation
    ) throws(CheckpointError) -> MatrixOperand {
        try observation.operand(operand, of: gate == nil ? [.up] : [.gate, .up])
        try gateAndUp(operand, buffers)
        let inner = activated(operand.rows, buffers)
        try observation.operand(inner, of: [.down])
        return inner
    }

    /// The operand of the last product, from the products before the activation.
    func activated(_ rows: Int, _ buffers: LayerBuffers) -> MatrixOperand {
        activate(rows, buffers)
        return buffers.operand(buffers.inner, rows: rows, columns: width)
    }

    /// The products before the activation; without a gate, that of `up` is written to the gate's buffer.
    func gateAndUp(_ operand: MatrixOperand, _ buffers: LayerBuffers) throws(CheckpointError) {
        let targets =
            gate.map { [Linear.Target($0, buffers.gate.floats), Linear.Target(up, buffers.up.floats)] }
            ?? [Linear.Target(up, buffers.gate.floats)]
        try Linear.apply(targets, to: operand, buffers: buffers.linear)
    }

    /// `inner = act(gate) * up`
    private func activate(_ rows: Int, _ buffers: LayerBuffers) {
        let (width, activation, isGated) = (width, activation, gate != nil)
        Parallel.forEachRow(rows, workers: buffers.linear.threads) { row in
            let inner = buffers.inner.floats + row * width
            if buffers.keepsGate { inner.update(from: buffers.gate.floats + row * width, count: width) }
            if isGated {
                activation.apply(inner, times: buffers.up.floats + row * width, count: width)
            } else {
                activation.apply(inner, count: width)
            }
        }
    }
}
