internal import Checkpoints
internal import Formats
internal import Kernels

// The tensors that store a weight of four-bit codes. Each is computed from codes and scales, one slab of rows at a
// time.

/// Codes packed along the rows, eight per word: [out, in/8].
struct CodeWords: RowSource {
    let weight: any GroupedWeight

    var description: String { "codes of \(weight)" }

    func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        guard let base = output.baseAddress?.assumingMemoryBound(to: UInt32.self) else { return }
        let columns = weight.layout.columns, words = columns / Nibbles.perWord
        let pieces = rows.pieces(of: Tile.rows(columns: columns))
        let codes = Scratch(byteCount: (pieces.first?.count ?? 0) * columns)
        for part in pieces {
            try weight.writeCodes(rows: part, columns: 0..<columns, into: codes.bytes)
            Nibbles.join(
                codes.bytes, into: base + (part.lowerBound - rows.lowerBound) * words, count: part.count * words)
        }
    }
}

/// Scales or biases as floats: [out, in/group], or transposed, [in/group, out].
struct ScaleRows: RowSource {
    enum Kind: String {
        case scales, biases
    }

    let weight: any GroupedWeight
    let kind: Kind
    let dtype: DType
    /// Whether a row holds one group of all outputs.
    let isTransposed: Bool

    var description: String { "\(kind.rawValue) of \(weight)" }

    func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        let layout = weight.layout
        let groups = isTransposed ? rows : 0..<layout.groups
        let outputs = isTransposed ? 0..<layout.rows : rows
        let size = dtype.blockByteCount
        let pieces = outputs.pieces(of: Tile.rows(columns: groups.count * layout.groupSize))
        let count = (pieces.first?.count ?? 0) * groups.count
        let levels = Scratch(floats: 2 * count), encoded = Scratch(byteCount: count * size)
        for part in pieces {
            let (scales, offsets) = (levels.floats, levels.floats + part.count * groups.count)
            try weight.writeScales(rows: part, groups: groups, scales: scales, offsets: offsets)
            let index = part.lowerBound - outputs.lowerBound, written = part.count * groups.count
            Codec.encode(
                dtype, kind == .scales ? scales : offsets, rows: 1, rowLength: written,
                into: UnsafeMutableRawBufferPointer(start: encoded.base, count: written * size))
            guard let base = output.baseAddress else { return }
            if !isTransposed {
                (base + index * groups.count * size).copyMemory(from: encoded.base, byteCount: written * size)
                continue
            }
            for row in 0..<part.count {
                for group in 0..<groups.count {
                    (base + (group * layout.rows + index + row) * size).copyMemory(
                        from: encoded.base + (row * groups.count + group) * size, byteCount: size)
                }
            }
        }
    }
}

/// Bytes that do not depend on the weights: a shape, a list of groups.
struct KnownBytes: RowSource {
    let bytes: [UInt8]
    let rowByteCount: Int

    var description: String { "\(bytes.count) constant bytes, \(Digest(of: bytes))" }

    func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        output.copyBytes(from: bytes[rows.lowerBound * rowByteCount..<rows.upperBound * rowByteCount])
    }
}

/// Zero points packed along the outputs, eight per word: [out/8, in/group], or transposed, [in/group, out/8].
struct ZeroPointWords: RowSource {
    let weight: any GroupedWeight
    /// The output that each nibble of a word belongs to.
    let order: [UInt8]
    /// Subtracted before packing: GPTQ version 1 stores zero points minus one.
    let less: UInt8
    /// Whether a row holds one group of all outputs.
    let isTransposed: Bool

    var description: String { "zero points of \(weight)" }

    func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        guard let base = output.baseAddress?.assumingMemoryBound(to: UInt32.self) else { return }
        let layout = weight.layout, eight = Nibbles.perWord
        let groups = isTransposed ? rows : 0..<layout.groups
        let all = isTransposed ? 0..<(layout.rows + eight - 1) / eight : rows
        let count = groups.count
        let levels = Scratch(floats: 2 * eight * count), codes = Scratch(byteCount: eight * count)
        let line = Scratch(byteCount: 4 * count)
        for (wordIndex, word) in all.enumerated() {
            let outputs = word * eight..<min((word + 1) * eight, layout.rows)
            let offsets = levels.floats + outputs.count * count
            try weight.writeScales(rows: outputs, groups: groups, scales: levels.floats, offsets: offsets)
            // Outputs beyond the last row are padded with zero, as in other writers.
            codes.bytes.update(repeating: 0, count: eight * count)
            for index in 0..<outputs.count * count {
                // If the file changes while it is read, the value can be out of range; the writer detects the change at
                // its end.
                let offset = offsets[index]
                codes.bytes[index] = ((offset >= 0 && offset < 16 ? UInt8(offset) : 0) &- less) & 15
            }
            Nibbles.joinRows(codes.bytes, order: order, into: line.words, count: count)
            for group in 0..<count {
                base[isTransposed ? group * all.count + wordIndex : wordIndex * count + group] =
                    line.words[group].littleEndian
            }
        }
    }
}
