internal import Checkpoints

/// SentencePiece's table of replacements: a trie of the replaced texts (Darts' double array of 32-bit words), and the texts
/// that replace them, each with a zero at its end.
struct CharacterMap: Sendable {
    private let units: [UInt32]
    private let texts: [UInt8]

    /// Reads a table.
    ///
    /// - Throws: when the table is malformed.
    init(_ bytes: [UInt8]) throws(CheckpointError) {
        func wrong(_ problem: String) -> CheckpointError {
            CheckpointError("the precompiled_charsmap of the tokenizer \(problem)")
        }
        guard bytes.count > 4 else { throw wrong("has \(bytes.count) bytes") }
        func word(_ start: Int) -> UInt32 { (0..<4).reduce(0) { $0 | UInt32(bytes[start + $1]) << UInt32(8 * $1) } }
        let byteCount = Int(word(0))
        guard byteCount >= 4, byteCount % 4 == 0, byteCount <= bytes.count - 4 else {
            throw wrong("has a trie of \(byteCount.grouped) bytes among \(bytes.count.grouped)")
        }
        units = (0..<byteCount / 4).map { word(4 + 4 * $0) }
        texts = Array(bytes[(4 + byteCount)...])
        guard texts.last == 0 else { throw wrong("has a replacement without an end") }
    }

    /// Calls `body` for each replaced text that `text` begins with, the shortest first: with the offset of its replacement
    /// in `texts`, and with its own length.
    private func forEach(in text: ArraySlice<UInt8>, _ body: (_ text: Int, _ byteCount: Int) -> Void) {
        func offset(_ unit: UInt32) -> UInt32 { (unit >> 10) << ((unit & 1 << 9) >> 6) }
        var node = offset(units[0])
        for (index, byte) in text.enumerated() {
            if byte == 0 { return }
            node ^= UInt32(byte)
            guard Int(node) < units.count else { return }
            let unit = units[Int(node)]
            // A child's label is in its own unit; leaves have the highest bit.
            guard unit & (1 << 31 | 0xFF) == UInt32(byte) else { return }
            node ^= offset(unit)
            guard Int(node) < units.count else { return }
            if unit >> 8 & 1 == 1 {
                let value = Int(units[Int(node)] & 0x7FFF_FFFF)
                if value < texts.count { body(value, index + 1) }
            }
        }
    }

    private func append(_ start: Int, to result: inout [UInt8]) {
        var index = start
        while texts[index] != 0 {
            result.append(texts[index])
            index += 1
        }
    }

    /// Replaces the longest text of the table at every position, as SentencePiece does.
    func applied(_ text: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(text.count)
        var index = 0
        while index < text.count {
            var longest: (text: Int, byteCount: Int)?
            forEach(in: text[index...]) { longest = ($0, $1) }
            if let longest {
                append(longest.text, to: &result)
                index += longest.byteCount
                continue
            }
            repeat {
                result.append(text[index])
                index += 1
            } while index < text.count && text[index] & 0xC0 == 0x80
        }
        return result
    }

    /// Replaces as the tokenizers library does: a grapheme of fewer than six bytes as a whole, by the replacement of the
    /// shortest text that it begins with; every character of others in the same way.
    func appliedToGraphemes(_ text: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(text.count)
        func replacement(_ bytes: ArraySlice<UInt8>) -> Int? {
            var shortest: Int?
            forEach(in: bytes) { found, _ in shortest = shortest ?? found }
            return shortest
        }
        for grapheme in String(decoding: text, as: UTF8.self) {
            let bytes = Array(grapheme.utf8)
            if bytes.count < 6, let found = replacement(bytes[...]) {
                append(found, to: &result)
                continue
            }
            for scalar in grapheme.unicodeScalars {
                let bytes = Array(String(Character(scalar)).utf8)
                if let found = replacement(bytes[...]) { append(found, to: &result) } else { result += bytes }
            }
        }
        return result
    }
}
