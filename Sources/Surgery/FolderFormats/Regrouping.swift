internal import Checkpoints
internal import Formats
internal import Kernels

/// Which formats can store the scales and zero points of a weight; found by reading them all, without the codes.
struct ScaleFacts {
    /// The range of the zero points in `(code - zero point) * scale`; `nil` when one is not a whole number.
    private(set) var zeroPoints: ClosedRange<Int>?
    /// The types that represent every scale exactly.
    private(set) var scaleTypes: Set<DType> = [.f32, .f16, .bf16]
    /// The types that represent every scale and every bias of `code * scale + bias` exactly.
    private(set) var biasTypes: Set<DType> = [.f32, .f16, .bf16]

    /// Reads the scales and zero points of a weight.
    init(_ weight: any GroupedWeight) throws(CheckpointError) {
        let layout = weight.layout, groups = layout.groups
        var (least, most, isWhole) = (Int.max, Int.min, true)
        for rows in (0..<layout.rows).pieces(of: Tile.rows(columns: groups)) {
            let count = rows.count * groups
            let levels = Scratch(floats: 2 * count)
            let (scales, offsets) = (levels.floats, levels.floats + count)
            try weight.writeScales(rows: rows, groups: 0..<groups, scales: scales, offsets: offsets)
            for index in 0..<count {
                let scale = scales[index], offset = offsets[index]
                let zero = layout.hasBias ? ScaleFacts.zero(scale: scale, bias: offset) : offset
                if zero >= -256, zero <= 256, zero == zero.rounded() {
                    least = min(least, Int(zero))
                    most = max(most, Int(zero))
                } else {
                    isWhole = false
                }
                // The product is exact in double precision.
                let bias = layout.hasBias ? Double(offset) : -Double(offset) * Double(scale)
                // When a scale has more bits, code * scale is rounded, and the two formulas differ in the last bit.
                let isShort = scale.bitPattern & 0xF == 0
                if !isShort, layout.hasBias { isWhole = false }
                if !isShort, !layout.hasBias { biasTypes = [] }
                for type in scaleTypes where !type.holds(Double(scale)) { scaleTypes.remove(type) }
                for type in biasTypes where !type.holds(Double(scale)) || !type.holds(bias) { biasTypes.remove(type) }
            }
        }
        zeroPoints = isWhole && least <= most ? least...most : nil
    }

    /// The zero point that equals a bias; NaN when none does exactly.
    static func zero(scale: Float, bias: Float) -> Float {
        if bias == 0 { return 0 }
        let zero = (-bias / scale).rounded()
        return Double(zero) * Double(scale) == -Double(bias) ? zero : .nan
    }
}

extension DType {
    /// Whether the type represents a number exactly.
    fileprivate func holds(_ value: Double) -> Bool {
        let single = Float(value)
        guard Double(single) == value else { return false }
        if self == .f32 { return true }
        // bf16 is the upper half of a float.
        if self == .bf16 { return single.bitPattern & 0xFFFF == 0 }
        return abs(value) <= 65504 && (value * 0x1p24).rounded() == value * 0x1p24
            && single.bitPattern & 0x1FFF == 0
    }
}

/// A weight with the codes and scales of another one, for a format with smaller groups or with biases instead of zero
/// points.
struct RegroupedWeight: GroupedWeight {
    let source: any GroupedWeight
    let layout: GroupLayout

    /// - Precondition: the group size divides the source's, and the format can store its zero points.
    init(_ source: any GroupedWeight, groupSize: Int, scaleType: DType, hasBias: Bool) {
        precondition(source.layout.groupSize % groupSize == 0 && source.layout.groupOfColumn == nil)
        self.source = source
        var layout = source.layout
        layout.groupSize = groupSize
        layout.scaleType = scaleType
        layout.hasBias = hasBias
        self.layout = layout
    }

    var description: String { "\(source), regrouped" }

    func writeCodes(
        rows: Range<Int>, columns: Range<Int>, into codes: UnsafeMutablePointer<UInt8>
    ) throws(CheckpointError) {
        try source.writeCodes(rows: rows, columns: columns, into: codes)
    }

    func writeScales(
        rows: Range<Int>, groups: Range<Int>, scales: UnsafeMutablePointer<Float>,
        offsets: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) {
        let share = source.layout.groupSize / layout.groupSize
        let covering = groups.lowerBound / share..<(groups.upperBound + share - 1) / share
        let count = rows.count * covering.count
        let levels = Scratch(floats: 2 * count)
        try source.writeScales(rows: rows, groups: covering, scales: levels.floats, offsets: levels.floats + count)
        for row in 0..<rows.count {
            for (column, group) in groups.enumerated() {
                let from = row * covering.count + group / share - covering.lowerBound
                let scale = levels.floats[from], offset = levels.floats[count + from]
                let index = row * groups.count + column
                scales[index] = scale
                switch (source.layout.hasBias, layout.hasBias) {
                case (true, false): offsets[index] = ScaleFacts.zero(scale: scale, bias: offset)
                case (false, true): offsets[index] = -offset * scale
                default: offsets[index] = offset
                }
            }
        }
    }
}
