internal import CKernels
package import Checkpoints
package import Kernels
internal import Parallel

/// The gradients of an adapter's matrices, summed over all calls that are given them.
package struct AdapterGradient: Sendable {
    /// Of A, [rank, inputs].
    package let a: Scratch
    /// Of B, [outputs, rank].
    package let b: Scratch

    /// Gradients of zero.
    package init(_ linear: Linear, rank: Int) {
        a = Scratch(floats: rank * linear.inputs)
        b = Scratch(floats: rank * linear.outputs)
        clear()
    }

    /// Begins a new sum.
    package func clear() {
        a.floats.update(repeating: 0, count: a.byteCount / MemoryLayout<Float>.size)
        b.floats.update(repeating: 0, count: b.byteCount / MemoryLayout<Float>.size)
    }
}

extension Linear {
    /// Turns the gradient of the result into that of the operand: `dX = dY W`, with an adapter `dX = dY W + scale (dY B) A`.
    ///
    /// The weight is decoded once, a slab of rows at a time, and every sum runs in the order of its rows: the result
    /// does not depend on the number of threads.
    ///
    /// - Parameters:
    ///   - gradient: dY, [rows, outputs].
    ///   - output: dX, [rows, inputs].
    ///   - accumulates: whether dX is added to the existing values.
    package func applyBackward(
        _ gradient: UnsafePointer<Float>, rows: Int, into output: UnsafeMutablePointer<Float>,
        accumulates: Bool = false,
        threads: Int
    ) throws(CheckpointError) {
        try weight.multiplyUntransposed(gradient, rows: rows, into: output, accumulates: accumulates, threads: threads)
        guard let adapter else { return }
        let reduced = try adapter.reduceGradient(gradient, rows: rows, threads: threads)
        guard let dropout = adapter.dropout else {
            try adapter.a.multiplyUntransposed(
                reduced.floats, rows: rows, into: output, accumulates: true, threads: threads)
            return
        }
        let added = Scratch(floats: rows * inputs)
        try adapter.a.multiplyUntransposed(
            reduced.floats, rows: rows, into: added.floats, accumulates: false, threads: threads)
        dropout.add(rows, columns: inputs, of: added.floats, to: output, threads: threads)
    }

    /// Adds the gradients of the adapter: `dA = (scale dY B)' x` and `dB = dY' (scale x A')`.
    ///
    /// - Parameters:
    ///   - gradient: dY, [operand rows, outputs].
    ///   - operand: x, which the map was applied to.
    /// - Precondition: the map has an adapter.
    package func addAdapterGradient(
        _ gradient: UnsafePointer<Float>, operand: MatrixOperand, to sum: AdapterGradient, buffers: LinearBuffers
    ) throws(CheckpointError) {
        guard let adapter else { preconditionFailure("\(weight.name) has no adapter") }
        let (rows, rank, threads) = (operand.rows, adapter.rank, buffers.threads)
        let reduced = try adapter.reduceGradient(gradient, rows: rows, threads: threads)
        let dropped = adapter.dropped(operand, threads: threads)
        addOuterProduct(
            reduced.floats, dropped.operand.values, rows: rows, sizes: (rank, inputs), into: sum.a.floats,
            threads: threads)
        let reducedOperand = try adapter.reduce(dropped.operand, buffers: buffers)
        withExtendedLifetime(dropped.memory) {}
        let transposed = Scratch(floats: rank * outputs)
        transposed.floats.update(repeating: 0, count: rank * outputs)
        addOuterProduct(
            reducedOperand.floats, gradient, rows: rows, sizes: (rank, outputs), into: transposed.floats,
            threads: threads)
        for output in 0..<outputs {
            for index in 0..<rank { sum.b.floats[output * rank + index] += transposed.floats[index * outputs + output] }
        }
    }
}

extension Linear.Adapter {
    /// `scale dY B`, [rows, rank].
    fileprivate func reduceGradient(
        _ gradient: UnsafePointer<Float>, rows: Int, threads: Int
    ) throws(CheckpointError) -> Scratch {
        let result = Scratch(floats: rows * rank)
        try b.multiplyUntransposed(gradient, rows: rows, into: result.floats, accumulates: false, threads: threads)
        result.multiply(by: scale, count: rows * rank)
        return result
    }
}

extension Tensor {
    /// Values that are decoded together.
    private static let slabCount = 1 << 20
    private static let rowsAtOnce = 16

    /// `output = operand W`, where `LinearProduct` computes `operand W'`: operand [rows, rowCount], output [rows,
    /// rowLength].
    fileprivate func multiplyUntransposed(
        _ operand: UnsafePointer<Float>, rows: Int, into output: UnsafeMutablePointer<Float>, accumulates: Bool,
        threads: Int
    ) throws(CheckpointError) {
        let (columns, height) = (rowLength, max(RowPanel.width, Tensor.slabCount / max(1, rowLength)))
        let slab = Scratch(floats: min(height, rowCount) * columns)
        let columnPanels = ColumnPanels(rows: min(height, rowCount), threads: threads)
        for start in stride(from: 0, to: rowCount, by: height) {
            let part = start..<min(start + height, rowCount)
            let runs = (part.count + Tensor.rowsAtOnce - 1) / Tensor.rowsAtOnce
            try Parallel.forEach(runs, workers: threads) { (run, _) throws(CheckpointError) in
                let first = start + run * Tensor.rowsAtOnce
                let some = first..<min(first + Tensor.rowsAtOnce, part.upperBound)
                try writeValues(rows: some, into: slab.floats + (first - start) * columns)
            }
            columnPanels.multiply(
                (operand + start, rowCount), rows: rows, slab.floats, sizes: (part.count, columns), into: output,
                accumulates: accumulates || start > 0)
        }
    }
}

/// `output += left' right`, summed over rows: left [rows, sizes.0], right [rows, sizes.1], output [sizes.0, sizes.1].
private func addOuterProduct(
    _ left: UnsafePointer<Float>, _ right: UnsafePointer<Float>, rows: Int, sizes: (Int, Int),
    into output: UnsafeMutablePointer<Float>, threads: Int
) {
    let transposed = Scratch(floats: rows * sizes.0)
    left.withMemoryRebound(to: UInt32.self, capacity: rows * sizes.0) {
        resect_transpose($0, rows, sizes.0, sizes.0, transposed.words, rows)
    }
    let height = 512
    let columnPanels = ColumnPanels(rows: min(height, rows), threads: threads)
    for start in stride(from: 0, to: rows, by: height) {
        columnPanels.multiply(
            (UnsafePointer(transposed.floats + start), rows), rows: sizes.0, right + start * sizes.1,
            sizes: (min(height, rows - start), sizes.1), into: output, accumulates: true)
    }
}

/// Products with a matrix whose rows are the sum's terms, a panel of its columns at a time on each thread.
private struct ColumnPanels {
    private let threads: Int
    private let panels: [Scratch]

    /// Buffers for panels of this many rows.
    init(rows: Int, threads: Int) {
        self.threads = max(1, threads)
        panels = (0..<max(1, threads)).map { _ in Scratch(floats: rows * RowPanel.width) }
    }

    /// `output[m][n] = sum over k of left[m][k] * right[k][n]`, with `sizes` of k and n.
    func multiply(
        _ left: (values: UnsafePointer<Float>, stride: Int), rows: Int, _ right: UnsafePointer<Float>,
        sizes: (Int, Int), into output: UnsafeMutablePointer<Float>, accumulates: Bool
    ) {
        let (height, columns) = sizes
        nonisolated(unsafe) let (left, right, output) = (left, right, output)
        let count = (columns + RowPanel.width - 1) / RowPanel.width
        Parallel.forEach(count, workers: threads) { index, worker in
            let first = index * RowPanel.width
            let width = min(RowPanel.width, columns - first)
            let panel = panels[worker].floats
            for row in 0..<height {
                (panel + row * RowPanel.width).update(from: right + row * columns + first, count: width)
            }
            var shape = resect_matmul_shape(
                m: rows, n: width, k: height, a_stride: left.stride, b_stride: RowPanel.width, c_stride: columns,
                accumulate: accumulates ? 1 : 0)
            resect_matmul_f32(&shape, left.values, panel, output + first, InstructionSet.best.rawValue)
        }
    }
}
