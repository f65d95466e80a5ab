internal import Checkpoints
internal import Kernels
internal import Weights

/// The rows of a weight with adapters added, in f32.
struct MergedRows: F32Rows {
    /// The weight of the base, [rows, columns] or a stack of matrices.
    let base: Tensor
    /// What is added to each matrix of the stack; `nil` for one that stays.
    let deltas: [LowRankDelta?]
    /// The modules that the adapters name, each with its scale, for reports.
    let modules: [(name: String, scale: Float)]

    var description: String {
        "\(base.dtype) with an adapter of rank \(rank) added of \(base.recipe)"
    }

    /// The largest rank of a matrix.
    var rank: Int { deltas.compactMap { $0?.rank }.max() ?? 0 }

    /// The norm of what is added.
    func norm() throws(CheckpointError) -> Double {
        var sum = 0.0
        for delta in deltas {
            sum += try delta?.squaredNorm(rows: height, columns: base.rowLength) ?? 0
        }
        return sum.squareRoot()
    }

    private var height: Int { base.rowCount / max(1, deltas.count) }

    var rowLength: Int { base.rowLength }

    func writeValues(
        rows: Range<Int>, columns: Range<Int>, into output: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) -> Bool {
        try base.writeValues(rows: rows, columns: columns, into: output)
        var row = rows.lowerBound
        while row < rows.upperBound {
            let matrix = row / height, start = matrix * height
            let end = min(rows.upperBound, start + height)
            try deltas[matrix]?.add(
                to: output + (row - rows.lowerBound) * columns.count, rows: row - start..<end - start, columns: columns)
            row = end
        }
        let count = rows.count * columns.count
        if let index = Codec.firstBeyond(Float.greatestFiniteMagnitude, in: output, count: count) {
            throw CheckpointError(
                tensor: base.name,
                "is \(output[index].isNaN ? "NaN" : "infinite") in row \((rows.lowerBound + index / columns.count).grouped) "
                    + "after the merge with \(modules.map(\.name).joined(separator: ", "))")
        }
        return true
    }
}
