internal import Checkpoints

/// Finds added tokens in text: the leftmost, and of those that start together the longest.
struct AddedTokenMatcher: Sendable {
    private struct Entry: Sendable {
        let bytes: [UInt8]
        let token: Vocabulary.AddedToken
    }

    /// The tokens by their first byte, the longest first.
    private let entries: [[Entry]]
    private let isEmpty: Bool

    /// A piece of the text.
    enum Part {
        case token(Int)
        case text(Range<Int>)
    }

    /// A matcher of some tokens, whose contents are brought into the form that the text has.
    init(_ tokens: [Vocabulary.AddedToken], form: (String) -> String = { $0 }) {
        var entries = Array(repeating: [Entry](), count: 256)
        for token in tokens where !token.content.isEmpty {
            let bytes = Array(form(token.content).utf8)
            entries[Int(bytes[0])].append(Entry(bytes: bytes, token: token))
        }
        self.entries = entries.map { $0.sorted { $0.bytes.count > $1.bytes.count } }
        isEmpty = tokens.isEmpty
    }

    /// Calls `body` with the tokens and the text between them, in order, until it returns false.
    func split(_ text: UnsafeRawBufferPointer, _ body: (Part) -> Bool) {
        var start = 0
        var index = 0
        while !isEmpty, index < text.count {
            guard let entry = match(text, at: index) else {
                index += 1
                continue
            }
            var end = index + entry.bytes.count
            var begin = index
            if entry.token.singleWord, !standsAlone(text, index..<end) {
                index = end
                continue
            }
            if entry.token.stripsLeft {
                while begin > start, let before = space(text, endingAt: begin) { begin = before }
            }
            if entry.token.stripsRight {
                while end < text.count, case let (kind, count) = CharacterClass.at(end, in: text), kind.isSpace {
                    end += count
                }
            }
            if begin > start, !body(.text(start..<begin)) { return }
            if !body(.token(entry.token.id)) { return }
            start = end
            index = end
        }
        if start < text.count { _ = body(.text(start..<text.count)) }
    }

    private func match(_ text: UnsafeRawBufferPointer, at index: Int) -> Entry? {
        entries[Int(text[index])].first { entry in
            entry.bytes.count <= text.count - index
                && text[index..<index + entry.bytes.count].elementsEqual(entry.bytes)
        }
    }

    /// The start of the white space character that ends at a position.
    private func space(_ text: UnsafeRawBufferPointer, endingAt end: Int) -> Int? {
        var start = end - 1
        while start > 0, text[start] & 0xC0 == 0x80 { start -= 1 }
        return CharacterClass.at(start, in: text).0.isSpace ? start : nil
    }

    private func standsAlone(_ text: UnsafeRawBufferPointer, _ range: Range<Int>) -> Bool {
        func isWord(_ position: Int) -> Bool { CharacterClass.isWord(CharacterClass.scalar(at: position, in: text).0) }
        if range.upperBound < text.count, isWord(range.upperBound) { return false }
        var before = range.lowerBound - 1
        while before > 0, text[before] & 0xC0 == 0x80 { before -= 1 }
        return before < 0 || !isWord(before)
    }
}
