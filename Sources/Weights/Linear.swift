package import Checkpoints
package import Kernels
internal import Parallel

/// A linear map of rows: `y = x W' + b`, with a low-rank adapter `y = x W' + b + scale (x A') B'`.
package struct Linear: Sendable {
    /// W, [outputs, inputs].
    package let weight: Tensor
    /// b, [outputs].
    package let bias: Tensor?
    /// What a fine-tuning adds to the weight.
    package let adapter: Adapter?

    /// A low-rank adapter (LoRA): it adds the weight `scale B A`.
    package struct Adapter: Sendable {
        /// A, [rank, inputs].
        package let a: Tensor
        /// B, [outputs, rank].
        package let b: Tensor
        /// The factor of the product.
        package let scale: Float
        /// Dropout of the adapter's operand in training; the weight always multiplies the whole operand.
        package let dropout: Dropout?

        /// An adapter whose matrices have the same rank.
        package init(a: Tensor, b: Tensor, scale: Float, dropout: Dropout? = nil) {
            precondition(b.rowLength == a.rowCount, "\(a.name) and \(b.name) have different ranks")
            self.a = a
            self.b = b
            self.scale = scale
            self.dropout = dropout
        }

        /// Rows of A and columns of B.
        package var rank: Int { a.rowCount }
    }

    /// A map whose tensors fit together.
    package init(_ weight: Tensor, bias: Tensor? = nil, adapter: Adapter? = nil) {
        precondition(bias.map { $0.count == weight.rowCount } ?? true, "\(weight.name): a bias of another size")
        precondition(
            adapter.map { $0.a.rowLength == weight.rowLength && $0.b.rowCount == weight.rowCount } ?? true,
            "\(weight.name): an adapter of another size")
        self.weight = weight
        self.bias = bias
        self.adapter = adapter
    }

    /// Columns of the operand.
    package var inputs: Int { weight.rowLength }
    /// Columns of the result.
    package var outputs: Int { weight.rowCount }

    /// Where the results of a map are written.
    package struct Target: @unchecked Sendable {
        let linear: Linear
        let output: UnsafeMutablePointer<Float>
        let accumulates: Bool

        /// Results in [operand rows, outputs], contiguous; `accumulates` adds them to what is there.
        package init(_ linear: Linear, _ output: UnsafeMutablePointer<Float>, accumulates: Bool = false) {
            self.linear = linear
            self.output = output
            self.accumulates = accumulates
        }
    }

    /// Applies maps that share their operand, a panel of weight rows at a time.
    package static func apply(
        _ targets: [Target], to operand: MatrixOperand, buffers: LinearBuffers
    ) throws(CheckpointError) {
        var units: [(product: LinearProduct, target: Target, outputs: Range<Int>)] = []
        for target in targets {
            let product = try LinearProduct(target.linear, operand, buffers: buffers)
            let outputs = target.linear.outputs
            for start in stride(from: 0, to: outputs, by: RowPanel.width) {
                units.append((product, target, start..<min(start + RowPanel.width, outputs)))
            }
        }
        let work = units
        try Parallel.forEach(work.count, workers: buffers.threads) { (index, worker) throws(CheckpointError) in
            let (product, target, outputs) = work[index]
            try product.write(
                outputs, into: target.output + outputs.lowerBound, stride: target.linear.outputs,
                accumulates: target.accumulates, panel: buffers.panels[worker])
        }
    }
}

/// The work buffers of products with weights, one of each per thread.
package struct LinearBuffers: Sendable {
    /// How many threads run.
    package let threads: Int
    /// A panel for each of them.
    package let panels: [RowPanel]

    /// Buffers for some threads.
    package init(threads: Int) {
        self.threads = max(1, threads)
        panels = (0..<max(1, threads)).map { _ in RowPanel() }
    }
}
