internal import Checkpoints
internal import Kernels
internal import Parallel
internal import Weights

/// The rows of a weight whose directions and norms were trained separately (DoRA): each row, or each column, of the
/// merged weight is scaled to the norm that was trained for it.
struct DoRARows: F32Rows {
    /// The base with the low-rank change added, in f32: [rows, columns].
    let merged: Tensor
    /// The trained norms: of each row, or of each column when `factors` is not `nil`.
    let magnitude: Tensor
    /// The factor of each column; `nil` when rows have norms.
    let factors: [Float]?

    var description: String { "\(merged.recipe) with norms of \(magnitude.recipe)" }

    var rowLength: Int { merged.rowLength }

    func writeValues(
        rows: Range<Int>, columns: Range<Int>, into output: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) -> Bool {
        if let factors {
            try merged.writeValues(rows: rows, columns: columns, into: output)
            for row in 0..<rows.count {
                let values = output + row * columns.count
                for (index, column) in columns.enumerated() { values[index] *= factors[column] }
            }
            return true
        }
        let length = merged.rowLength
        let whole = Scratch(floats: rows.count * length)
        try merged.writeValues(rows: rows, into: whole.floats)
        let norms = try magnitude.floats()
        for row in 0..<rows.count {
            let values = whole.floats + row * length
            var sum = 0.0
            for column in 0..<length { sum += Double(values[column]) * Double(values[column]) }
            let factor = try factor(norms[rows.lowerBound + row], Float(sum.squareRoot()), row: rows.lowerBound + row)
            for (index, column) in columns.enumerated() {
                output[row * columns.count + index] = values[column] * factor
            }
        }
        return true
    }

    private func factor(_ norm: Float, _ now: Float, row: Int) throws(CheckpointError) -> Float {
        guard now > 0 else {
            throw CheckpointError(
                tensor: merged.name, "has a norm of zero in row \(row.grouped), so no direction for the adapter's norm")
        }
        return norm / now
    }

    /// Rows whose sums are added up together, so that the result does not depend on threads.
    private static let rowsAtOnce = 256

    /// The factor of each column of a merged weight.
    ///
    /// - Parameter threads: how many threads read the weight; the result does not depend on it.
    static func columnFactors(
        of merged: Tensor, magnitude: Tensor, threads: Int
    ) throws(CheckpointError) -> [Float] {
        let length = merged.rowLength, chunks = (merged.rowCount + rowsAtOnce - 1) / rowsAtOnce
        let sums = Scratch(byteCount: chunks * length * MemoryLayout<Double>.size)
        nonisolated(unsafe) let partial = sums.base.bindMemory(to: Double.self, capacity: chunks * length)
        try Parallel.forEach(chunks, workers: threads) { (chunk, _) throws(CheckpointError) in
            let rows = chunk * rowsAtOnce..<min(merged.rowCount, (chunk + 1) * rowsAtOnce)
            let values = Scratch(floats: rows.count * length)
            try merged.writeValues(rows: rows, into: values.floats)
            let target = partial + chunk * length
            for column in 0..<length { target[column] = 0 }
            for row in 0..<rows.count {
                for column in 0..<length {
                    let value = Double(values.floats[row * length + column])
                    target[column] += value * value
                }
            }
        }
        let norms = try magnitude.floats()
        return try (0..<length).map { (column) throws(CheckpointError) in
            let sum = (0..<chunks).reduce(0.0) { $0 + partial[$1 * length + column] }
            guard sum > 0 else {
                throw CheckpointError(
                    tensor: merged.name,
                    "has a norm of zero in column \(column.grouped), so no direction for the adapter's norm")
            }
            return norms[column] / Float(sum.squareRoot())
        }
    }
}
