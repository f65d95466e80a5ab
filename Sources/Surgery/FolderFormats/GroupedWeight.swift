internal import Checkpoints
internal import Formats
internal import Kernels

/// What the codes of a weight mean.
struct GroupLayout: Sendable, Equatable {
    /// Rows of the weight: outputs.
    var rows: Int
    /// Columns: inputs.
    var columns: Int
    /// Neighbouring columns that share a scale and an offset; it divides the columns.
    var groupSize: Int
    /// Bits of a code: 4 or 8.
    var bits: Int
    /// The type that the scales are stored in.
    var scaleType: DType
    /// Whether a value is `code * scale + offset`; else it is `(code - offset) * scale`.
    var hasBias: Bool
    /// The group of each column, where that is not the column over the group size.
    var groupOfColumn: [Int32]?

    /// Groups in a row.
    var groups: Int { columns / groupSize }
}

/// A weight of small codes in groups that have a scale and an offset each.
protocol GroupedWeight: CodedWeight {
    /// What the codes mean.
    var layout: GroupLayout { get }
    /// Writes codes, one a byte, row after row.
    func writeCodes(
        rows: Range<Int>, columns: Range<Int>, into codes: UnsafeMutablePointer<UInt8>
    ) throws(CheckpointError)
    /// Writes the scale and the offset of each group, row after row.
    func writeLevels(
        rows: Range<Int>, groups: Range<Int>, scales: UnsafeMutablePointer<Float>,
        offsets: UnsafeMutablePointer<Float>
    ) throws(CheckpointError)
}

extension GroupedWeight {
    var shape: [Int] { [layout.rows, layout.columns] }
    var valueType: DType { layout.scaleType }

    func writeValues(
        rows: Range<Int>, columns: Range<Int>, into output: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) {
        let size = layout.groupSize
        for part in rows.pieces(of: Tile.rows(columns: columns.count)) {
            let target = output + (part.lowerBound - rows.lowerBound) * columns.count
            if let order = layout.groupOfColumn {
                try writeOrdered(order, rows: part, columns: columns, into: target)
                continue
            }
            let groups = columns.lowerBound / size..<(columns.upperBound + size - 1) / size
            let whole = groups.lowerBound * size..<groups.upperBound * size
            let codes = Scratch(byteCount: part.count * whole.count)
            let levels = Scratch(floats: 2 * part.count * groups.count)
            let (scales, offsets) = (levels.floats, levels.floats + part.count * groups.count)
            try writeCodes(rows: part, columns: whole, into: codes.bytes)
            try writeLevels(rows: part, groups: groups, scales: scales, offsets: offsets)
            func values(into buffer: UnsafeMutablePointer<Float>) {
                GroupRounding.values(
                    codes.bytes, scales: scales, offsets: offsets, isBias: layout.hasBias,
                    groups: part.count * groups.count, size: size, into: buffer)
            }
            if whole == columns {
                values(into: target)
                continue
            }
            let wide = Scratch(floats: part.count * whole.count)
            values(into: wide.floats)
            for row in 0..<part.count {
                (target + row * columns.count).update(
                    from: wide.floats + row * whole.count + columns.lowerBound - whole.lowerBound, count: columns.count)
            }
        }
    }

    /// The same where columns find their groups in a list.
    private func writeOrdered(
        _ order: [Int32], rows: Range<Int>, columns: Range<Int>, into output: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) {
        let groups = layout.groups
        let codes = Scratch(byteCount: rows.count * columns.count)
        let levels = Scratch(floats: 2 * rows.count * groups)
        let (scales, offsets) = (levels.floats, levels.floats + rows.count * groups)
        try writeCodes(rows: rows, columns: columns, into: codes.bytes)
        try writeLevels(rows: rows, groups: 0..<groups, scales: scales, offsets: offsets)
        for row in 0..<rows.count {
            for (index, column) in columns.enumerated() {
                let level = row * groups + Int(order[column])
                let code = Float(codes.bytes[row * columns.count + index])
                output[row * columns.count + index] =
                    layout.hasBias ? code * scales[level] + offsets[level] : (code - offsets[level]) * scales[level]
            }
        }
    }
}

/// How much of a weight is worked on at once: what fits a processor's cache, in floats.
enum Tile {
    private static let count = 1 << 16

    /// So many rows of so many columns, a multiple of 8.
    static func rows(columns: Int) -> Int { max(8, count / max(1, columns) / 8 * 8) }
}

extension Range<Int> {
    /// The range in order, in pieces of `count` but for the last.
    func pieces(of count: Int) -> [Range<Int>] {
        stride(from: lowerBound, to: upperBound, by: count).map { $0..<Swift.min($0 + count, upperBound) }
    }
}

extension Scratch {
    /// The memory as bytes.
    var bytes: UnsafeMutablePointer<UInt8> { base.assumingMemoryBound(to: UInt8.self) }
}
