internal import CKernels
internal import Parallel

/// Sums over rows that least squares needs: `G = x'x`, `C = x't` and `s = |t|^2`, for inputs x and targets t.
///
/// Products run in f32 over blocks of a fixed number of rows, and the blocks are added in f64 in order: the result does not
/// depend on the number of threads.
package final class SecondMoments: @unchecked Sendable {
    /// Columns of x.
    package let inputs: Int
    /// Columns of t.
    package let outputs: Int
    /// G, [inputs, inputs]; only the lower triangle is filled.
    package let gram: DoubleMatrix
    /// C, [inputs, outputs].
    package let cross: DoubleMatrix
    /// s.
    package private(set) var squares = 0.0
    /// How many rows were added.
    package private(set) var rows = 0

    private let turned: Scratch
    private let panels: [Scratch]
    private let products: [Scratch]
    private let threads: Int

    /// Rows whose products are summed in f32.
    private static let block = 512
    /// Columns of x that a thread turns at once.
    private static let turnedColumns = 64

    /// Sums of nothing.
    package init(inputs: Int, outputs: Int, threads: Int) {
        self.inputs = inputs
        self.outputs = outputs
        self.threads = max(1, threads)
        gram = DoubleMatrix(rows: inputs, columns: inputs)
        cross = DoubleMatrix(rows: inputs, columns: outputs)
        turned = Scratch(floats: inputs * SecondMoments.block)
        panels = (0..<self.threads).map { _ in Scratch(floats: SecondMoments.block * RowPanel.width) }
        products = (0..<self.threads).map { _ in Scratch(floats: inputs * RowPanel.width) }
    }

    /// Adds rows: x is [rows, inputs], t is [rows, outputs].
    ///
    /// Blocks are counted from the first row of each call, so whoever wants the same bits has to make the same calls.
    package func add(_ values: UnsafePointer<Float>, _ targets: UnsafePointer<Float>, rows: Int) {
        for start in stride(from: 0, to: rows, by: SecondMoments.block) {
            let count = min(SecondMoments.block, rows - start)
            addBlock(values + start * inputs, targets + start * outputs, rows: count)
        }
        self.rows += rows
    }

    private func addBlock(_ values: UnsafePointer<Float>, _ targets: UnsafePointer<Float>, rows: Int) {
        nonisolated(unsafe) let (values, targets) = (values, targets)
        let step = SecondMoments.turnedColumns
        Parallel.forEach((inputs + step - 1) / step, workers: threads) { index, _ in
            let first = index * step
            UnsafeRawPointer(values + first).withMemoryRebound(to: UInt32.self, capacity: 1) {
                resect_transpose(
                    $0, rows, min(step, inputs - first), inputs, turned.words + first * rows, rows)
            }
        }
        let crossPanels = (outputs + RowPanel.width - 1) / RowPanel.width
        let gramPanels = (inputs + RowPanel.width - 1) / RowPanel.width
        Parallel.forEach(crossPanels + gramPanels, workers: threads) { index, worker in
            if index < crossPanels {
                add(panel: index, of: (targets, outputs), from: 0, to: cross, rows: rows, worker: worker)
            } else {
                let panel = index - crossPanels
                add(
                    panel: panel, of: (values, inputs), from: panel * RowPanel.width, to: gram, rows: rows,
                    worker: worker)
            }
        }
        for index in 0..<rows * outputs { squares += Double(targets[index]) * Double(targets[index]) }
    }

    /// Adds the products of some columns with all inputs from `first` on.
    private func add(
        panel: Int, of source: (values: UnsafePointer<Float>, columns: Int), from first: Int, to sums: DoubleMatrix,
        rows: Int, worker: Int
    ) {
        let start = panel * RowPanel.width
        let width = min(RowPanel.width, source.columns - start)
        let (columns, product) = (panels[worker].floats, products[worker].floats)
        for row in 0..<rows {
            (columns + row * RowPanel.width).update(from: source.values + row * source.columns + start, count: width)
        }
        var shape = resect_matmul_shape(
            m: inputs - first, n: width, k: rows, a_stride: rows, b_stride: RowPanel.width, c_stride: RowPanel.width,
            accumulate: 0)
        resect_matmul_f32(&shape, turned.floats + first * rows, columns, product, InstructionSet.best.rawValue)
        for row in first..<inputs {
            let (line, values) = (sums.row(row) + start, product + (row - first) * RowPanel.width)
            for column in 0..<width { line[column] += Double(values[column]) }
        }
    }
}
