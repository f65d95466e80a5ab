internal import Checkpoints
internal import Formats
internal import Kernels
internal import Parallel
internal import Weights

/// A matrix after a training minus the same matrix before it, read a slab of rows at a time.
struct WeightDifference: Sendable {
    /// The matrix before the training, and the file that messages name.
    let base: (tensor: Tensor, file: String)
    /// The matrix after it.
    let tuned: (tensor: Tensor, file: String)

    /// Elements in a slab.
    private static let slabCount = 1 << 20
    /// Rows that a thread decodes and multiplies at once.
    private static let rowsAtOnce = 16
    /// Columns that a thread multiplies at once.
    private static let columnsAtOnce = 240

    /// How many rows.
    var rows: Int { base.tensor.rowCount }
    /// How many columns.
    var columns: Int { base.tensor.rowLength }

    /// The results of one pass over the rows of the difference `D`.
    struct Pass {
        /// `D V`.
        let product: DoubleMatrix
        /// `D' D V`.
        let returned: DoubleMatrix
        /// The sum of the squares of all elements.
        let squares: Double
    }

    /// Multiplies the difference `D` by a matrix `V` [columns, width], and the transposed difference by the product.
    ///
    /// - Parameter returns: whether `D' D V` is computed.
    /// - Throws: when a weight is NaN or infinite.
    func pass(_ right: DoubleMatrix, returns: Bool, threads: Int) throws(CheckpointError) -> Pass {
        let columns = columns
        let height = max(WeightDifference.rowsAtOnce, WeightDifference.slabCount / max(1, columns))
        // Eight more columns: rows at distances of a power of two would compete for the same lines of the cache.
        let slab = DoubleMatrix(rows: min(height, rows), columns: columns + 8)
        let product = DoubleMatrix(rows: rows, columns: right.columns)
        let returned = DoubleMatrix(rows: returns ? columns : 0, columns: right.columns)
        let values = (0..<max(1, threads)).map { _ in Scratch(floats: WeightDifference.rowsAtOnce * columns) }
        var squares = 0.0
        for start in stride(from: 0, to: rows, by: height) {
            let part = start..<min(start + height, rows)
            let runs = (part.count + WeightDifference.rowsAtOnce - 1) / WeightDifference.rowsAtOnce
            let sums = try Parallel.map(runs, workers: threads) { (run, worker) throws(CheckpointError) in
                let first = start + run * WeightDifference.rowsAtOnce
                let some = first..<min(first + WeightDifference.rowsAtOnce, part.upperBound)
                let sum = try subtract(some, into: slab, at: first - start, values: values[worker].floats)
                DoubleMatrix.multiply(
                    .init(slab.row(first - start), row: slab.stride, term: 1), rows: some.count, terms: columns,
                    right.elements, stride: right.stride, into: product.row(first))
                return sum
            }
            for sum in sums { squares += sum }
            if returns { add(slab, rows: part, product, to: returned, threads: threads) }
        }
        guard squares.isFinite else { throw try notFinite() }
        return Pass(product: product, returned: returned, squares: squares)
    }

    /// Writes some rows of the difference, and returns the sum of their squares.
    private func subtract(
        _ rows: Range<Int>, into slab: DoubleMatrix, at start: Int, values: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) -> Double {
        let columns = columns
        try tuned.tensor.writeValues(rows: rows, into: values)
        for row in 0..<rows.count {
            let (target, from) = (slab.row(start + row), values + row * columns)
            for column in 0..<columns { target[column] = Double(from[column]) }
        }
        try base.tensor.writeValues(rows: rows, into: values)
        var sum = SIMD8<Double>.zero
        for row in 0..<rows.count {
            let (target, from) = (slab.row(start + row), values + row * columns)
            for column in 0..<columns { target[column] -= Double(from[column]) }
            let vectors = UnsafeMutableRawPointer(target).assumingMemoryBound(to: SIMD8<Double>.self)
            for index in 0..<slab.stride / 8 { sum += vectors[index] * vectors[index] }
        }
        return sum.total
    }

    /// Adds `slab' product`, over the rows of the slab in order.
    private func add(
        _ slab: DoubleMatrix, rows: Range<Int>, _ product: DoubleMatrix, to returned: DoubleMatrix, threads: Int
    ) {
        let step = WeightDifference.columnsAtOnce
        Parallel.forEach((columns + step - 1) / step, workers: threads) { index, _ in
            let first = index * step
            DoubleMatrix.multiply(
                .init(slab.elements + first, row: 1, term: slab.stride), rows: min(step, columns - first),
                terms: rows.count, product.row(rows.lowerBound), stride: product.stride, into: returned.row(first))
        }
    }

    /// The error that names the matrix with the first weight that is NaN or infinite.
    private func notFinite() throws(CheckpointError) -> CheckpointError {
        for (tensor, file) in [base, tuned] {
            let values = Scratch(floats: columns)
            for row in 0..<rows {
                try tensor.writeValues(rows: row..<row + 1, into: values.floats)
                if let column = Codec.firstBeyond(.greatestFiniteMagnitude, in: values.floats, count: columns) {
                    return CheckpointError(
                        file: file, tensor: tensor.name, "holds NaN or infinity, in row \(row), column \(column)")
                }
            }
        }
        return CheckpointError(
            file: tuned.file, tensor: tuned.tensor.name, "differs so much from the base that its squares have no sum")
    }
}
