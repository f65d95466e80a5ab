internal import Checkpoints
internal import Formats
internal import Kernels

/// ggml's blocks of E2M1 codes. Byte k of a group holds code k of its first half in the low bits and code k of its
/// second half in the high bits.
///
/// | type | a block |
/// |---|---|
/// | MXFP4 | the scale of 32 weights, then their codes: 17 bytes |
/// | NVFP4 | the scales of four groups of 16, then the codes of each: 36 bytes |
enum GGMLBlocks {
    /// Number of groups in a block.
    static func groups(_ scale: GroupScale) -> Int { scale == .e4m3 ? 4 : 1 }

    /// Whether a block can hold a scale: NVFP4 has no sign, and neither type has NaN.
    static func holds(_ code: UInt8, _ scale: GroupScale) -> Bool { scale == .e4m3 ? code < 0x7F : code < 0xFF }

    /// Reorders the codes of one group from pairs of neighbours to ggml halves.
    static func toHalves(_ pairs: UnsafePointer<UInt8>, _ halves: UnsafeMutablePointer<UInt8>, size: Int) {
        let quarter = size / 4
        for index in 0..<quarter {
            let low = pairs[index], high = pairs[index + quarter]
            halves[2 * index] = low & 15 | high << 4
            halves[2 * index + 1] = low >> 4 | high & 0xF0
        }
    }

    /// Reorders the codes of one group from ggml halves to pairs of neighbours.
    static func toPairs(_ halves: UnsafePointer<UInt8>, _ pairs: UnsafeMutablePointer<UInt8>, size: Int) {
        let quarter = size / 4
        for index in 0..<quarter {
            let even = halves[2 * index], odd = halves[2 * index + 1]
            pairs[index] = even & 15 | odd << 4
            pairs[index + quarter] = even >> 4 | odd & 0xF0
        }
    }
}

/// A weight in ggml blocks, with the factor from its `.scale` tensor.
struct BlockWeight: MicroscaledWeight {
    let blocks: Tensor
    let factor: WholeScale

    /// A weight of MXFP4 or NVFP4.
    init(_ blocks: Tensor, factor: WholeScale = .none) {
        precondition(blocks.dtype == .nvfp4 || blocks.dtype == .mxfp4)
        self.blocks = blocks
        self.factor = factor
    }

    var scale: GroupScale { blocks.dtype == .nvfp4 ? .e4m3 : .e8m0 }
    var shape: [Int] { [blocks.rowCount, blocks.rowLength] }
    var description: String { "\(blocks.dtype): \(blocks.recipe)" }

    func wholeScale() -> WholeScale { factor }

    func writeCodes(rows: Range<Int>, into output: UnsafeMutablePointer<UInt8>) throws(CheckpointError) {
        let size = scale.groupSize
        try forEachBlock(rows) { (block, index, count) in
            for group in 0..<count {
                GGMLBlocks.toPairs(
                    block + count + group * size / 2, output + (index * count + group) * size / 2, size: size)
            }
        }
    }

    func writeScales(rows: Range<Int>, into output: UnsafeMutablePointer<UInt8>) throws(CheckpointError) {
        try forEachBlock(rows) { (block, index, count) in (output + index * count).update(from: block, count: count) }
    }

    /// Calls `body` with each block of a range of rows, its index, and the number of groups per block.
    private func forEachBlock(
        _ rows: Range<Int>, _ body: (UnsafePointer<UInt8>, Int, Int) -> Void
    ) throws(CheckpointError) {
        let count = GGMLBlocks.groups(scale), size = blocks.dtype.blockByteCount
        try blocks.withBytes(rows: rows) { bytes in
            guard let base = bytes.bindMemory(to: UInt8.self).baseAddress else { return }
            for index in 0..<bytes.count / size { body(base + index * size, index, count) }
        }
    }
}

/// The rows of a weight as ggml blocks.
struct BlockRows: RowSource {
    let weight: any MicroscaledWeight

    var description: String { "blocks of \(weight)" }

    func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        guard let base = output.bindMemory(to: UInt8.self).baseAddress else { return }
        let size = weight.scale.groupSize, count = GGMLBlocks.groups(weight.scale)
        let columns = weight.shape[1], blockSize = weight.scale.blocks.blockByteCount
        let perRow = columns / size / count
        for part in rows.pieces(of: Tile.rows(columns: columns)) {
            let codes = Scratch(byteCount: part.count * columns / 2)
            let scales = Scratch(byteCount: part.count * weight.groups)
            try weight.writeCodes(rows: part, into: codes.bytes)
            try weight.writeScales(rows: part, into: scales.bytes)
            let target = base + (part.lowerBound - rows.lowerBound) * perRow * blockSize
            for block in 0..<part.count * perRow {
                (target + block * blockSize).update(from: scales.bytes + block * count, count: count)
                for group in 0..<count {
                    GGMLBlocks.toHalves(
                        codes.bytes + (block * count + group) * size / 2,
                        target + block * blockSize + count + group * size / 2, size: size)
                }
            }
        }
    }
}
