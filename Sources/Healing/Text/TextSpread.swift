/// Which bytes of some documents are read: all, or pieces that lie evenly spread over them.
struct TextSpread: Sendable {
    /// The ranges of every document.
    let ranges: [[Range<Int>]]
    /// Whether bytes are left out.
    let isPartial: Bool

    /// A piece is at most this long, enough for several contexts.
    static let pieceByteCount = 1 << 16

    /// How many bytes are read.
    var byteCount: Int { ranges.joined().reduce(0) { $0 + $1.count } }

    init(byteCounts: [Int], limit: Int) {
        let total = byteCounts.reduce(0, +)
        isPartial = total > limit && total - limit > limit
        guard isPartial else {
            ranges = byteCounts.map { $0 > 0 ? [0..<$0] : [] }
            return
        }
        let pieces = max(1, limit / TextSpread.pieceByteCount)
        let (step, rest) = total.quotientAndRemainder(dividingBy: pieces)
        var ranges = byteCounts.map { _ in [Range<Int>]() }
        // The document that a piece begins in, and where the document begins among all bytes.
        var (document, start) = (0, 0)
        for piece in 0..<pieces {
            var position = piece * step + min(piece, rest)  // fits: below the sum of all sizes
            let end = position + min(TextSpread.pieceByteCount, step)  // fits: as above
            while position < end {
                while start + byteCounts[document] <= position {
                    start += byteCounts[document]
                    document += 1
                }
                let last = min(end, start + byteCounts[document])
                ranges[document].append(position - start..<last - start)
                position = last
            }
        }
        self.ranges = ranges
    }

    /// A range that begins and ends with a line, or with a character where no line ends nearby.
    static func aligned(_ range: Range<Int>, in bytes: UnsafeRawBufferPointer) -> Range<Int> {
        let range = range.clamped(to: 0..<bytes.count)
        var (first, last) = (range.lowerBound, range.upperBound)
        if first > 0 {
            let line = bytes[first - 1..<last].firstIndex(of: 0x0A)
            if let line, line - first < range.count / 4 {
                first = line + 1
            } else {
                while first < last, bytes[first] & 0xC0 == 0x80 { first += 1 }
            }
        }
        if last < bytes.count {
            if let line = bytes[first..<last].lastIndex(of: 0x0A), last - line < range.count / 4 {
                last = line + 1
            } else {
                while last > first, bytes[last] & 0xC0 == 0x80 { last -= 1 }
            }
        }
        return first..<max(first, last)
    }
}
