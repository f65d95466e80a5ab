internal import Checkpoints

/// The codes of a weight, [ceil(count / 2), 1].
struct LevelCodeRows: RowSource {
    let source: BlockedSource
    let levels: FourBitLevels

    var description: String { "\(levels.rawValue) in blocks of \(source.block) of \(source.source.recipe)" }

    func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        guard let bytes = output.bindMemory(to: UInt8.self).baseAddress else { return }
        try source.writeCodes(rows, levels: levels, into: bytes)
    }
}

/// The largest magnitude of each block, [blocks] of F32.
struct BlockScaleRows: RowSource {
    let source: BlockedSource

    var description: String { "scales of blocks of \(source.block) of \(source.source.recipe)" }

    func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        // There is one row at most.
        guard !rows.isEmpty, let floats = output.bindMemory(to: Float.self).baseAddress else { return }
        try source.forEachScales(of: 0..<source.blockCount) { (scales, blocks) in
            guard let base = scales.baseAddress else { return }
            (floats + blocks.lowerBound).update(from: base, count: scales.count)
        }
    }
}

/// Block scales minus their mean, quantized to eight bits: the codes [blocks], or the F32 scales of those codes.
struct NestedScaleRows: RowSource {
    enum Part: Sendable { case codes, scales }

    let source: BlockedSource
    let mean: Float
    let part: Part

    var description: String {
        "\(part == .codes ? "codes" : "scales") of the scales of blocks of \(source.block) of "
            + "\(source.source.recipe)"
    }

    func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        if rows.isEmpty { return }
        let block = DynamicMap.block
        var pending: [Float] = []
        var codes = [UInt8](repeating: 0, count: block)
        var index = 0
        func encode(_ values: ArraySlice<Float>) {
            let scale = values.withUnsafeBufferPointer { values in
                codes.withUnsafeMutableBufferPointer { codes in
                    codes.baseAddress.map { DynamicMap.encode(values, into: $0) } ?? 0
                }
            }
            if part == .codes {
                codes.withUnsafeBytes { codes in
                    let target = UnsafeMutableRawBufferPointer(rebasing: output[(index * block)...])
                    target.copyMemory(from: UnsafeRawBufferPointer(rebasing: codes[..<values.count]))
                }
            } else {
                output.storeBytes(of: scale, toByteOffset: index * 4, as: Float.self)
            }
            index += 1
        }
        try source.forEachScales(of: 0..<source.blockCount) { (scales, _) in
            pending += scales.map { $0 - mean }
            var start = 0
            while pending.count - start >= block {
                encode(pending[start..<start + block])
                start += block
            }
            pending.removeFirst(start)
        }
        if !pending.isEmpty { encode(pending[...]) }
    }
}
