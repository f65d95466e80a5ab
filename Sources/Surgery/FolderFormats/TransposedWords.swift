internal import Checkpoints
internal import Formats
internal import Kernels
internal import Weights

/// A matrix of words that is read transposed: a row in the file becomes a column.
struct TransposedWords: Sendable {
    /// I32 or U32, [rows, columns].
    let tensor: Tensor

    /// The number of bytes to request at once from a source that is not a mapped file.
    private static let chunkByteCount = 1 << 20

    /// Writes `output[c][r] = word[r][c]` for a range: `columns.count` rows of `rows.count` words.
    func write(
        rows: Range<Int>, columns: Range<Int>, into output: UnsafeMutablePointer<UInt32>
    ) throws(CheckpointError) {
        let rowByteCount = tensor.rowByteCount
        let chunk = max(16, TransposedWords.chunkByteCount / max(1, rowByteCount))
        for part in rows.pieces(of: chunk) {
            try tensor.withBytes(rows: part) { bytes in
                guard let base = bytes.baseAddress else { return }
                let target = output + (part.lowerBound - rows.lowerBound)
                let start = base + 4 * columns.lowerBound
                if UInt(bitPattern: start) % 4 == 0, rowByteCount % 4 == 0 {
                    Nibbles.transpose(
                        start.assumingMemoryBound(to: UInt32.self), rows: part.count, columns: columns.count,
                        stride: rowByteCount / 4, into: target, outputStride: rows.count)
                    return
                }
                // Tensors may start at any byte of a file.
                for row in 0..<part.count {
                    for column in 0..<columns.count {
                        target[column * rows.count + row] =
                            (start + row * rowByteCount + 4 * column).loadUnaligned(as: UInt32.self)
                    }
                }
            }
        }
    }
}

/// Scales and packed zero points, stored group by group: [in/group, out].
struct TransposedScales: Sendable {
    /// [in/group, out]: F32, F16 or BF16.
    let scales: Tensor
    /// [in/group, out/8], or out/4 for codes of 8 bits.
    let zeros: Tensor
    /// 4 or 8.
    let bits: Int
    /// The output that each code of a word belongs to.
    let order: [UInt8]
    /// Added to the stored zero points: 1 for GPTQ version 1.
    let added: Int

    func write(
        rows: Range<Int>, groups: Range<Int>, scales output: UnsafeMutablePointer<Float>,
        offsets: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) {
        let line = Scratch(floats: rows.count)
        let perWord = 32 / bits, mask = UInt32(1) << UInt32(bits) - 1
        // The bit position of each output in its word.
        var shifts = [Int](repeating: 0, count: perWord)
        for (nibble, output) in order.enumerated() { shifts[Int(output)] = nibble * bits }
        for (column, group) in groups.enumerated() {
            let one = Range(group...group)
            try scales.writeValues(rows: one, columns: rows, into: line.floats)
            for row in 0..<rows.count { output[row * groups.count + column] = line.floats[row] }
            try zeros.withBytes(rows: one) { bytes in
                for (index, row) in rows.enumerated() {
                    let from = row / perWord * 4
                    let word = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: from, as: UInt32.self))
                    offsets[index * groups.count + column] = Float(Int(word >> shifts[row % perWord] & mask) + added)
                }
            }
        }
    }
}
