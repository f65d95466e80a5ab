internal import Checkpoints
@_spi(_Unicode) internal import Swift

/// Applies the normalizations of a vocabulary to text.
struct TextNormalizer: Sendable {
    private let steps: [Vocabulary.Normalization]
    private let charsmaps: [CharacterMap]

    /// A normalizer.
    ///
    /// - Throws: when a table of replacements is malformed.
    init(_ steps: [Vocabulary.Normalization]) throws(CheckpointError) {
        self.steps = steps
        var maps: [CharacterMap] = []
        for case .charsmap(let bytes, _) in steps { maps.append(try CharacterMap(bytes)) }
        charsmaps = maps
    }

    /// Calls `body` with the changed text.
    ///
    /// - Parameter continues: whether the text is the rest of one whose beginning was changed before.
    func apply(
        _ text: UnsafeRawBufferPointer, continues: Bool = false, _ body: (UnsafeRawBufferPointer) -> Void
    ) {
        // Characters below U+0300, whose first byte is 0xCC, are always composed (NFC).
        if steps.isEmpty || steps == [.composed] && !text.contains(where: { $0 >= 0xCC }) { return body(text) }
        apply(Array(text), continues: continues).withUnsafeBytes(body)
    }

    /// The changed form of a text.
    func applied(to text: String) -> String { String(decoding: apply(Array(text.utf8)), as: UTF8.self) }

    private func apply(_ text: [UInt8], continues: Bool = false) -> [UInt8] {
        var text = text
        var map = 0
        for step in steps {
            switch step {
            case .composed where text.contains(where: { $0 >= 0xCC }):
                text = TextNormalizer.scalars(String(decoding: text, as: UTF8.self)._nfc)
            case .decomposed where text.contains(where: { $0 >= 0x80 }):
                text = TextNormalizer.scalars(String(decoding: text, as: UTF8.self)._nfd)
            case .compatibilityComposed where text.contains(where: { $0 >= 0x80 }):
                text = TextNormalizer.scalars(CompatibilityForm.decomposed(text)._nfc)
            case .compatibilityDecomposed where text.contains(where: { $0 >= 0x80 }):
                text = TextNormalizer.scalars(CompatibilityForm.decomposed(text)._nfd)
            case .composed, .decomposed, .compatibilityComposed, .compatibilityDecomposed: break
            case .lowercase:
                var result = String.UnicodeScalarView()
                for scalar in String(decoding: text, as: UTF8.self).unicodeScalars {
                    result.append(contentsOf: scalar.properties.lowercaseMapping.unicodeScalars)
                }
                text = Array(String(result).utf8)
            case .prepend(let prefix): if !text.isEmpty, !continues { text = Array(prefix.utf8) + text }
            case .replace(let pattern, let content):
                text = TextNormalizer.replaced(text, Array(pattern.utf8), Array(content.utf8))
            case .collapseSpaces: text = TextNormalizer.collapsed(text, keepsFirst: continues)
            case .replaceRuns(let content): text = TextNormalizer.runsReplaced(text, Array(content.utf8))
            case .strip(let left, let right):
                text = TextNormalizer.stripped(text, left: left && !continues, right: right)
            case .charsmap(_, let graphemes):
                text = graphemes ? charsmaps[map].appliedToGraphemes(text) : charsmaps[map].applied(text)
                map += 1
            }
        }
        return text
    }

    private static func scalars(_ text: some Sequence<Unicode.Scalar>) -> [UInt8] {
        var result = String.UnicodeScalarView()
        for scalar in text { result.append(scalar) }
        return Array(String(result).utf8)
    }

    private static func replaced(_ text: [UInt8], _ pattern: [UInt8], _ content: [UInt8]) -> [UInt8] {
        guard let first = pattern.first, text.contains(first) else { return text }
        var result: [UInt8] = []
        result.reserveCapacity(text.count + text.count / 2)
        if pattern.count == 1 {
            for byte in text { if byte == first { result += content } else { result.append(byte) } }
            return result
        }
        var index = 0
        while index < text.count {
            if text[index] == first, text[index...].starts(with: pattern) {
                result += content
                index += pattern.count
            } else {
                result.append(text[index])
                index += 1
            }
        }
        return result
    }

    /// Replaces runs of two spaces or more.
    private static func runsReplaced(_ text: [UInt8], _ content: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(text.count)
        var index = 0
        while index < text.count {
            var end = index
            while end < text.count, text[end] == 0x20 { end += 1 }
            if end - index >= 2 {
                result += content
                index = end
            } else {
                result.append(text[index])
                index += 1
            }
        }
        return result
    }

    /// Reduces runs of spaces to one, and drops them at the beginning and at the end.
    ///
    /// - Parameter keepsFirst: whether a space at the beginning is kept, because the text continues another one.
    private static func collapsed(_ text: [UInt8], keepsFirst: Bool) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(text.count)
        var wasSpace = !keepsFirst
        for byte in text {
            if byte != 0x20 || !wasSpace { result.append(byte) }
            wasSpace = byte == 0x20
        }
        if result.last == 0x20 { result.removeLast() }
        return result
    }

    private static func stripped(_ text: [UInt8], left: Bool, right: Bool) -> [UInt8] {
        text.withUnsafeBytes { bytes in
            var (start, end) = (0, bytes.count)
            while left, start < end, case let (kind, count) = CharacterClass.at(start, in: bytes),
                CharacterClass.space.contains(kind)
            {
                start += count
            }
            while right, end > start {
                var last = end - 1
                while last > start, bytes[last] & 0xC0 == 0x80 { last -= 1 }
                guard CharacterClass.space.contains(CharacterClass.at(last, in: bytes).0) else { break }
                end = last
            }
            return Array(bytes[start..<end])
        }
    }
}
