internal import Checkpoints
internal import Formats
internal import Kernels
internal import Weights

/// An unquantized weight rounded to nearest into E2M1 groups by the rule of another tool, in f32 except where MLX's
/// rule uses the model's type. Codes and scales are computed from the rows on every request.
struct RoundedMicroscales: MicroscaledWeight {
    /// The rounding rules.
    enum Rule: Sendable {
        /// compressed-tensors' NVFP4: E4M3 scales relative to a global scale.
        case nvfp4(GlobalScale)
        /// compressed-tensors' MXFP4: the exponent of the largest magnitude, or the next one for a mantissa of 1.75 and
        /// more.
        case mxfp4
        /// MLX's nvfp4 and mxfp4, whose intermediate steps are rounded to the type of the weights.
        case mlx(GroupScale)
    }

    let source: Tensor
    let rule: Rule
    /// The path of the checkpoint, for messages.
    let file: String

    var shape: [Int] { source.shape }
    var description: String { "\(source.dtype) rounded to \(scale.blocks) of \(source.recipe)" }

    var scale: GroupScale {
        switch rule {
        case .nvfp4: .e4m3
        case .mxfp4: .e8m0
        case .mlx(let scale): scale
        }
    }

    func wholeScale() throws(CheckpointError) -> WholeScale {
        if case .nvfp4(let global) = rule { .divisor(try global.value()) } else { .none }
    }

    func writeCodes(rows: Range<Int>, into output: UnsafeMutablePointer<UInt8>) throws(CheckpointError) {
        let length = shape[1], whole = try wholeScale()
        try forEachPiece(rows) { (values, bytes, part) throws(CheckpointError) in
            let scales = Scratch(floats: part.count * groups)
            scale.decode(bytes, count: part.count * groups, into: scales.floats)
            whole.apply(to: scales.floats, count: part.count * groups)
            FloatCodes.encodeE2M1(
                values, count: part.count * length, block: scale.groupSize, scales: scales.floats, rounding: rounding,
                into: output + (part.lowerBound - rows.lowerBound) * length / 2)
        }
    }

    func writeScales(rows: Range<Int>, into output: UnsafeMutablePointer<UInt8>) throws(CheckpointError) {
        try forEachPiece(rows) { (_, bytes, part) in
            (output + (part.lowerBound - rows.lowerBound) * groups).update(from: bytes, count: part.count * groups)
        }
    }

    private var rounding: FloatCodes.Rounding {
        if case .mlx = rule { .down(quotients: source.dtype) } else { .even }
    }

    /// Calls `body` with the values and the scales, a few rows at a time.
    private func forEachPiece(
        _ rows: Range<Int>,
        _ body: (UnsafeMutablePointer<Float>, UnsafeMutablePointer<UInt8>, Range<Int>) throws(CheckpointError) -> Void
    ) throws(CheckpointError) {
        let length = shape[1], pieces = rows.pieces(of: Tile.rows(columns: shape[1]))
        let most = pieces.first?.count ?? 0
        let values = Scratch(floats: most * length), largest = Scratch(floats: most * groups)
        let bytes = Scratch(byteCount: most * groups)
        for part in pieces {
            try source.writeValues(rows: part, columns: 0..<length, into: values.floats)
            let count = part.count * groups
            FloatCodes.largest(values.floats, count: part.count * length, block: scale.groupSize, into: largest.floats)
            if !(0..<count).allSatisfy({ largest.floats[$0].isFinite }) {
                let places = part.lowerBound * length..<part.upperBound * length
                if let refusal = source.codeRefusal(of: values.floats, elements: places, file: file) {
                    throw refusal
                }
            }
            try encodeScales(largest.floats, count: count, into: bytes.bytes)
            try body(values.floats, bytes.bytes, part)
        }
    }

    /// Scales from the largest magnitude of each group.
    private func encodeScales(
        _ largest: UnsafeMutablePointer<Float>, count: Int, into output: UnsafeMutablePointer<UInt8>
    ) throws(CheckpointError) {
        switch rule {
        case .nvfp4(let global):
            let global = try global.value()
            for index in 0..<count { largest[index] = global * (largest[index] / 6) }
            FloatCodes.encodeE4M3(largest, count: count, into: output)
            // A group of (almost) zeros gets compressed-tensors' smallest scale.
            for index in 0..<count where output[index] == 0 { output[index] = 0x20 }
        case .mxfp4:
            for index in 0..<count {
                let exponent = Int((largest[index].bitPattern + 0x20_0000) >> 23) - 2
                output[index] = UInt8(max(0, exponent))
            }
        case .mlx(let scale):
            for index in 0..<count { largest[index] /= 6 }
            MLXRounding.round(largest, count: count, as: source.dtype)
            if scale == .e4m3 { return FloatCodes.encodeE4M3(largest, count: count, into: output) }
            for index in 0..<count { output[index] = MLXRounding.powerOfTwo(above: largest[index]) }
        }
    }
}
