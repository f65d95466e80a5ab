internal import Checkpoints
internal import Formats
internal import Kernels
internal import Weights

/// An unquantized weight rounded to nearest into codes and groups by the rule of a format. Codes and scales are
/// computed from the rows on every request; nothing is cached.
struct RoundedWeight: GroupedWeight {
    let source: Tensor
    let rounding: GroupRounding
    /// The path of the checkpoint, for messages.
    let file: String

    var description: String { "\(source.dtype) rounded in groups of \(rounding.size) of \(source.recipe)" }

    var layout: GroupLayout {
        GroupLayout(
            rows: source.shape[0], columns: source.shape[1], groupSize: rounding.size, bits: 4,
            scaleType: rounding.scaleType, hasBias: rounding.rule == .mlx)
    }

    func writeCodes(
        rows: Range<Int>, columns: Range<Int>, into codes: UnsafeMutablePointer<UInt8>
    ) throws(CheckpointError) {
        let size = rounding.size
        let groups = columns.lowerBound / size..<(columns.upperBound + size - 1) / size
        let levels = Scratch(floats: 2 * rows.count * groups.count)
        let offsets = levels.floats + rows.count * groups.count
        let whole = groups.lowerBound * size..<groups.upperBound * size
        if whole == columns {
            return try round(rows, groups, scales: levels.floats, offsets: offsets, codes: codes)
        }
        let wide = Scratch(byteCount: rows.count * whole.count)
        try round(rows, groups, scales: levels.floats, offsets: offsets, codes: wide.bytes)
        for row in 0..<rows.count {
            (codes + row * columns.count).update(
                from: wide.bytes + row * whole.count + columns.lowerBound - whole.lowerBound, count: columns.count)
        }
    }

    func writeScales(
        rows: Range<Int>, groups: Range<Int>, scales: UnsafeMutablePointer<Float>,
        offsets: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) {
        try round(rows, groups, scales: scales, offsets: offsets, codes: nil)
    }

    private func round(
        _ rows: Range<Int>, _ groups: Range<Int>, scales: UnsafeMutablePointer<Float>,
        offsets: UnsafeMutablePointer<Float>, codes: UnsafeMutablePointer<UInt8>?
    ) throws(CheckpointError) {
        let size = rounding.size, width = groups.count * size
        let columns = groups.lowerBound * size..<groups.upperBound * size
        let pieces = rows.pieces(of: Tile.rows(columns: width))
        let values = Scratch(floats: (pieces.first?.count ?? 0) * width)
        for part in pieces {
            try source.writeValues(rows: part, columns: columns, into: values.floats)
            let index = part.lowerBound - rows.lowerBound
            let refused = rounding.round(
                values.floats, groups: part.count * groups.count, scales: scales + index * groups.count,
                offsets: offsets + index * groups.count, codes: codes.map { $0 + index * width })
            if let refused { throw refusal(part, groups, refused, values.floats + refused * size) }
        }
    }

    /// The error for a group that cannot be encoded.
    private func refusal(
        _ rows: Range<Int>, _ groups: Range<Int>, _ group: Int, _ values: UnsafePointer<Float>
    ) -> CheckpointError {
        let row = rows.lowerBound + group / groups.count
        let first = (groups.lowerBound + group % groups.count) * rounding.size
        if let column = (0..<rounding.size).first(where: { !values[$0].isFinite }) {
            return CheckpointError(
                file: file, tensor: source.name,
                "has the value \(values[column]) in row \(row), column \(first + column), which a quantized weight cannot hold"
            )
        }
        return CheckpointError(
            file: file, tensor: source.name,
            "has values in row \(row), from column \(first), whose scale exceeds the range of \(rounding.scaleType)",
            hint: "choose a format with another scale type")
    }
}
