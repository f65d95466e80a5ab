internal import Checkpoints
internal import Kernels
internal import Weights

/// An unquantized weight divided as bitsandbytes does: blocks over the flat tensor, of which the last may be short.
struct BlockedSource: Sendable {
    let source: Tensor
    let block: Int
    /// The checkpoint, for messages.
    let file: String

    /// Blocks of `block` values; a multiple of 16 that divides `Tensor.valuesAtOnce`.
    init(_ source: Tensor, block: Int, file: String) {
        self.source = source
        self.block = block
        self.file = file
    }

    var count: Int { source.count }
    var blockCount: Int { (count + block - 1) / block }

    /// Calls `body` with the scales of a range of blocks, in order and in pieces; every piece but the last holds
    /// `Tensor.valuesAtOnce / block` of them.
    func forEachScales(
        of blocks: Range<Int>, _ body: (UnsafeBufferPointer<Float>, Range<Int>) throws(CheckpointError) -> Void
    ) throws(CheckpointError) {
        let scales = Scratch(floats: Tensor.valuesAtOnce / block)
        let places = blocks.lowerBound * block..<min(blocks.upperBound * block, count)
        try source.forEachValues(of: places) { (piece, part) throws(CheckpointError) in
            let found = try scale(piece, part, into: scales.floats)
            let first = part.lowerBound / block
            try body(UnsafeBufferPointer(start: scales.floats, count: found), first..<first + found)
        }
    }

    /// The scales of blocks in memory; a short block has a scale of at least 1e-38.
    ///
    /// - Returns: the number of scales.
    /// - Throws: when a value is not finite.
    private func scale(
        _ piece: UnsafePointer<Float>, _ part: Range<Int>, into scales: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) -> Int {
        FloatCodes.largest(piece, count: part.count, block: block, into: scales)
        let found = (part.count + block - 1) / block
        if !(0..<found).allSatisfy({ scales[$0].isFinite }),
            let refusal = source.codeRefusal(of: piece, elements: part, file: file)
        {
            throw refusal
        }
        if part.count % block != 0, scales[found - 1] < 1e-38 { scales[found - 1] = 1e-38 }
        return found
    }

    /// Writes a range of code bytes, two codes each.
    func writeCodes(
        _ bytes: Range<Int>, levels: FourBitLevels, into output: UnsafeMutablePointer<UInt8>
    ) throws(CheckpointError) {
        let first = bytes.lowerBound * 2 / block * block
        let places = first..<min((bytes.upperBound * 2 + block - 1) / block * block, count)
        let scales = Scratch(floats: Tensor.valuesAtOnce / block)
        let codes = Scratch(byteCount: Tensor.valuesAtOnce / 2)
        let pairs = codes.base.assumingMemoryBound(to: UInt8.self)
        let (bounds, order) = (levels.bounds, levels.codes)
        try source.forEachValues(of: places) { (piece, part) throws(CheckpointError) in
            _ = try scale(piece, part, into: scales.floats)
            FloatCodes.encodeLevels(
                piece, count: part.count, block: block, largest: scales.floats, bounds: bounds, codes: order,
                into: pairs)
            let made = part.lowerBound / 2..<(part.upperBound + 1) / 2
            let wanted = made.clamped(to: bytes)
            (output + (wanted.lowerBound - bytes.lowerBound)).update(
                from: pairs + (wanted.lowerBound - made.lowerBound), count: wanted.count)
        }
    }

    /// The mean of all scales, which double quantization subtracts from them.
    func meanScale() throws(CheckpointError) -> Float {
        var sum = CascadeSum(count: blockCount)
        try forEachScales(of: 0..<blockCount) { (scales, _) in sum.add(scales) }
        return sum.sum / Float(blockCount)
    }
}
