internal import Checkpoints
internal import Formats
internal import Kernels

/// How the scales of small E2M1 groups are stored, one byte each.
enum GroupScale: Sendable, Equatable {
    /// E4M3, for groups of 16: NVFP4.
    case e4m3
    /// E8M0, a power of two, for groups of 32: MXFP4.
    case e8m0

    /// Number of weights that share a scale.
    var groupSize: Int { self == .e4m3 ? 16 : 32 }

    /// The ggml type whose blocks hold the same codes and scales.
    var blocks: DType { self == .e4m3 ? .nvfp4 : .mxfp4 }

    /// Decodes scale bytes.
    func decode(_ bytes: UnsafePointer<UInt8>, count: Int, into output: UnsafeMutablePointer<Float>) {
        switch self {
        case .e4m3: FloatCodes.decodeE4M3(bytes, count: count, into: output)
        case .e8m0: for index in 0..<count { output[index] = GroupScale.powerOfTwo(bytes[index]) }
        }
    }

    /// The value of an E8M0 scale; the largest code is NaN.
    static func powerOfTwo(_ code: UInt8) -> Float {
        switch code {
        case 0: Float(bitPattern: 0x40_0000)
        case 255: .nan
        default: Float(bitPattern: UInt32(code) << 23)
        }
    }
}

/// The scale of a whole weight, in addition to its group scales.
enum WholeScale: Sendable, Equatable {
    case none
    /// A factor of the group scales: ModelOpt, ggml.
    case multiplier(Float)
    /// A divisor of the group scales: compressed-tensors.
    case divisor(Float)

    /// The value as a factor of the group scales.
    var factor: Float {
        switch self {
        case .none: 1
        case .multiplier(let factor): factor
        case .divisor(let divisor): 1 / divisor
        }
    }

    /// Applies it to group scales, in place.
    func apply(to scales: UnsafeMutablePointer<Float>, count: Int) {
        switch self {
        case .none: break
        case .multiplier(let factor): for index in 0..<count { scales[index] *= factor }
        case .divisor(let divisor): for index in 0..<count { scales[index] /= divisor }
        }
    }
}

/// A weight of E2M1 codes in small groups, NVFP4 or MXFP4, in any storage.
protocol MicroscaledWeight: CodedWeight {
    var scale: GroupScale { get }
    /// The scale of the whole weight.
    func wholeScale() throws(CheckpointError) -> WholeScale
    /// Writes the codes of a range of rows, two per byte, the first in the low half.
    func writeCodes(rows: Range<Int>, into output: UnsafeMutablePointer<UInt8>) throws(CheckpointError)
    /// Writes the stored scales of a range of rows, one per group.
    func writeScales(rows: Range<Int>, into output: UnsafeMutablePointer<UInt8>) throws(CheckpointError)
}

extension MicroscaledWeight {
    var valueType: DType { .bf16 }
    var groups: Int { shape[1] / scale.groupSize }

    func writeValues(
        rows: Range<Int>, columns: Range<Int>, into output: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) {
        let length = shape[1], whole = try wholeScale()
        for part in rows.pieces(of: Tile.rows(columns: length)) {
            let codes = Scratch(byteCount: part.count * length / 2), bytes = Scratch(byteCount: part.count * groups)
            let scales = Scratch(floats: part.count * groups)
            try writeCodes(rows: part, into: codes.bytes)
            try writeScales(rows: part, into: bytes.bytes)
            scale.decode(bytes.bytes, count: part.count * groups, into: scales.floats)
            whole.apply(to: scales.floats, count: part.count * groups)
            let target = output + (part.lowerBound - rows.lowerBound) * columns.count
            let isWhole = columns == 0..<length
            let wide = Scratch(floats: isWhole ? 0 : part.count * length)
            FloatCodes.decode(
                codes.bytes, count: part.count * length, block: scale.groupSize, values: FloatCodes.e2m1,
                scales: scales.floats, order: .lowFirst, into: isWhole ? target : wide.floats)
            guard !isWhole else { continue }
            for row in 0..<part.count {
                (target + row * columns.count).update(
                    from: wide.floats + row * length + columns.lowerBound, count: columns.count)
            }
        }
    }
}

/// Codes and scales in separate tensors with the rows of the weight.
struct E2M1Weight: MicroscaledWeight {
    /// [out, in/2] of bytes, or [out, in/8] of words.
    let codes: Tensor
    /// [out, in/group] of bytes.
    let scales: Tensor
    let scale: GroupScale
    let whole: WholeScale

    var shape: [Int] { [codes.rowCount, 2 * codes.rowByteCount] }
    var description: String { "\(scale.blocks): \(codes.recipe)" }

    func wholeScale() -> WholeScale { whole }

    func writeCodes(rows: Range<Int>, into output: UnsafeMutablePointer<UInt8>) throws(CheckpointError) {
        try copy(codes, rows, output)
    }

    func writeScales(rows: Range<Int>, into output: UnsafeMutablePointer<UInt8>) throws(CheckpointError) {
        try copy(scales, rows, output)
    }

    private func copy(
        _ tensor: Tensor, _ rows: Range<Int>, _ output: UnsafeMutablePointer<UInt8>
    ) throws(CheckpointError) {
        let target = UnsafeMutableRawBufferPointer(start: output, count: rows.count * tensor.rowByteCount)
        try tensor.recipe.write(rows: rows, rowByteCount: tensor.rowByteCount, into: target)
    }
}
