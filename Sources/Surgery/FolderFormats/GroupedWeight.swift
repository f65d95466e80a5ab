internal import Checkpoints
internal import Formats
internal import Kernels

/// The shape of a weight and how its codes are grouped.
struct GroupLayout: Sendable, Equatable {
    /// Number of rows (outputs).
    var rows: Int
    /// Number of columns (inputs).
    var columns: Int
    /// Number of neighbouring columns that share a scale and a zero point; divides `columns`.
    var groupSize: Int
    /// Bits of a code: 4 or 8.
    var bits: Int
    /// The storage type of the scales.
    var scaleType: DType
    /// Whether a value is `code * scale + bias`; else it is `(code - zero point) * scale`.
    var hasBias: Bool
    /// The group of each column; `nil` when it is `column / groupSize`.
    var groupOfColumn: [Int32]?

    /// Number of groups in a row.
    var groups: Int { columns / groupSize }
}

/// A weight of integer codes in groups, each with a scale and a zero point or a bias.
protocol GroupedWeight: CodedWeight {
    /// The shape and the grouping.
    var layout: GroupLayout { get }
    /// Writes codes, one per byte, row after row.
    func writeCodes(
        rows: Range<Int>, columns: Range<Int>, into codes: UnsafeMutablePointer<UInt8>
    ) throws(CheckpointError)
    /// Writes the scale of each group and, to `offsets`, its zero point, or its bias when the layout has biases.
    func writeScales(
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
            try writeScales(rows: part, groups: groups, scales: scales, offsets: offsets)
            func values(into buffer: UnsafeMutablePointer<Float>) {
                GroupRounding.values(
                    codes.bytes, scales: scales, offsets: offsets, isBias: layout.hasBias,
                    groups: part.count * groups.count, size: size, into: buffer)
            }
            if whole == columns {
                values(into: target)
                continue
            }
            let decoded = Scratch(floats: part.count * whole.count)
            values(into: decoded.floats)
            for row in 0..<part.count {
                (target + row * columns.count).update(
                    from: decoded.floats + row * whole.count + columns.lowerBound - whole.lowerBound,
                    count: columns.count)
            }
        }
    }

    /// Writes values when `groupOfColumn` assigns the groups.
    private func writeOrdered(
        _ order: [Int32], rows: Range<Int>, columns: Range<Int>, into output: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) {
        let groups = layout.groups
        let codes = Scratch(byteCount: rows.count * columns.count)
        let levels = Scratch(floats: 2 * rows.count * groups)
        let (scales, offsets) = (levels.floats, levels.floats + rows.count * groups)
        try writeCodes(rows: rows, columns: columns, into: codes.bytes)
        try writeScales(rows: rows, groups: 0..<groups, scales: scales, offsets: offsets)
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

/// The part of a weight that is processed at once, so that it fits the CPU cache.
enum Tile {
    private static let count = 1 << 16

    /// The number of rows to process at once, a multiple of 8.
    static func rows(columns: Int) -> Int { max(8, count / max(1, columns) / 8 * 8) }
}

extension Range<Int> {
    /// The range divided into pieces of `count`; the last may be shorter.
    func pieces(of count: Int) -> [Range<Int>] {
        stride(from: lowerBound, to: upperBound, by: count).map { $0..<Swift.min($0 + count, upperBound) }
    }
}

extension Scratch {
    /// The memory as bytes.
    var bytes: UnsafeMutablePointer<UInt8> { base.assumingMemoryBound(to: UInt8.self) }
}
