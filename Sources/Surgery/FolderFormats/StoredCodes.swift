internal import Checkpoints
internal import Formats
internal import Kernels

/// Codes packed along the rows of a matrix of words, the first in the lowest bits: compressed-tensors and MLX.
struct StoredCodes: Sendable {
    /// [rows, words], I32 or U32.
    let tensor: Tensor
    /// 4 or 8.
    let bits: Int
    /// Number of codes in a row; the last word may hold padding.
    let columns: Int

    /// The number of words for this many codes.
    static func words(_ codes: Int, bits: Int) -> Int { (codes * bits + 31) / 32 }

    /// Writes the codes of a range of rows and columns, one per byte.
    func write(
        rows: Range<Int>, columns: Range<Int>, into codes: UnsafeMutablePointer<UInt8>
    ) throws(CheckpointError) {
        let perWord = 32 / bits
        let first = columns.lowerBound / perWord, last = (columns.upperBound + perWord - 1) / perWord
        let skipped = columns.lowerBound - first * perWord
        let isWhole = skipped == 0 && columns.count == (last - first) * perWord
        let line = Scratch(byteCount: (last - first) * perWord)
        try tensor.withBytes(rows: rows) { bytes in
            guard let base = bytes.baseAddress else { return }
            for row in 0..<rows.count {
                let source = base + row * tensor.rowByteCount + 4 * first
                let target = codes + row * columns.count
                split(source, into: isWhole ? target : line.bytes, words: last - first)
                if !isWhole { target.update(from: line.bytes + skipped, count: columns.count) }
            }
        }
    }

    private func split(_ source: UnsafeRawPointer, into codes: UnsafeMutablePointer<UInt8>, words: Int) {
        if bits == 4 {
            Nibbles.split(source, into: codes, count: words)
        } else {
            codes.update(from: source.assumingMemoryBound(to: UInt8.self), count: 4 * words)
        }
    }
}
