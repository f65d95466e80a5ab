internal import CKernels
package import Checkpoints
package import Kernels
internal import Parallel

/// A linear map and its operand, ready to compute any outputs: the bias is decoded, and the adapter's product with A,
/// which all outputs share, is computed.
package struct LinearProduct: Sendable {
    private let linear: Linear
    private let operand: MatrixOperand
    private let bias: [Float]
    /// `scale x A'`, and the memory that holds it.
    private let reduced: (memory: Scratch, operand: MatrixOperand)?

    /// A product of operand rows of `linear.inputs` columns.
    package init(
        _ linear: Linear, _ operand: MatrixOperand, buffers: LinearBuffers
    ) throws(CheckpointError) {
        precondition(operand.columns == linear.inputs, "\(linear.weight.name): an operand of another width")
        self.linear = linear
        self.operand = operand
        bias = try linear.bias?.floats() ?? []
        guard let adapter = linear.adapter else {
            reduced = nil
            return
        }
        let dropped = adapter.dropped(operand, threads: buffers.threads)
        let memory = try adapter.reduce(dropped.operand, buffers: buffers)
        withExtendedLifetime(dropped.memory) {}
        let rows = MatrixOperand(
            memory.floats, rows: operand.rows, columns: adapter.rank, bf16: nil, threads: buffers.threads)
        reduced = (memory, rows)
    }

    /// Computes some outputs of all rows in the calling thread.
    ///
    /// - Parameters:
    ///   - output: the first of the outputs in the first row; those of the next row are `stride` floats further.
    ///   - accumulates: whether the results are added to the existing values.
    package func write(
        _ outputs: Range<Int>, into output: UnsafeMutablePointer<Float>, stride: Int, accumulates: Bool, panel: RowPanel
    ) throws(CheckpointError) {
        for start in Swift.stride(from: outputs.lowerBound, to: outputs.upperBound, by: RowPanel.width) {
            let rows = start..<min(start + RowPanel.width, outputs.upperBound)
            let target = output + (start - outputs.lowerBound)
            try multiply(operand, linear.weight, rows, target, stride, accumulates, panel)
            if let reduced, let adapter = linear.adapter {
                try multiply(reduced.operand, adapter.b, rows, target, stride, true, panel)
            }
            guard !bias.isEmpty else { continue }
            bias.withUnsafeBufferPointer { bias in
                guard let base = bias.baseAddress else { return }
                for row in 0..<operand.rows { resect_add(target + row * stride, base + rows.lowerBound, rows.count) }
            }
        }
    }

    private func multiply(
        _ operand: MatrixOperand, _ weight: Tensor, _ rows: Range<Int>, _ output: UnsafeMutablePointer<Float>,
        _ stride: Int, _ accumulates: Bool, _ panel: RowPanel
    ) throws(CheckpointError) {
        try weight.withBytes(rows: rows) { bytes in
            panel.multiply(
                operand, bytes, rows: rows.count, dtype: weight.dtype, output: output, stride: stride,
                accumulates: accumulates)
        }
    }
}

extension Linear.Adapter {
    /// The operand after dropout, and the memory that holds it.
    func dropped(_ operand: MatrixOperand, threads: Int) -> (memory: Scratch?, operand: MatrixOperand) {
        guard let dropout else { return (nil, operand) }
        let (rows, columns) = (operand.rows, operand.columns)
        let memory = Scratch(floats: rows * columns)
        dropout.write(rows, columns: columns, of: operand.values, into: memory.floats, threads: threads)
        return (memory, MatrixOperand(memory.floats, rows: rows, columns: columns, bf16: nil, threads: threads))
    }

    /// `scale x A'`, [rows, rank], of an operand after dropout.
    func reduce(_ operand: MatrixOperand, buffers: LinearBuffers) throws(CheckpointError) -> Scratch {
        let result = Scratch(floats: operand.rows * rank)
        try Linear.apply([Linear.Target(Linear(a), result.floats)], to: operand, buffers: buffers)
        result.multiply(by: scale, count: operand.rows * rank)
        return result
    }
}

extension Scratch {
    /// Multiplies the first floats by a factor.
    func multiply(by factor: Float, count: Int) {
        if factor != 1 { for index in 0..<count { floats[index] *= factor } }
    }
}
