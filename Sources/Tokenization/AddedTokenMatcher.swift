internal import Checkpoints

/// Finds added tokens in text: the leftmost, and of those that start together the longest.
struct AddedTokenMatcher: Sendable {
    private let tokens: [Vocabulary.AddedToken]
    private let trie: TokenTrie

    /// A piece of the text.
    enum Part {
        case token(Int)
        case text(Range<Int>)
    }

    /// A matcher of some tokens.
    ///
    /// - Parameter form: normalizes the contents of the tokens as the text is normalized.
    init(_ tokens: [Vocabulary.AddedToken], form: (String) -> String = { $0 }) {
        var trie = TokenTrie()
        for (number, token) in tokens.enumerated() { trie.insert(form(token.content).utf8, Int32(number)) }
        self.tokens = tokens
        self.trie = trie
    }

    /// Calls `body` with the tokens and the text between them, in order, until it returns false.
    func split(_ text: UnsafeRawBufferPointer, _ body: (Part) -> Bool) {
        var start = 0
        var index = 0
        while !trie.isEmpty, index < text.count {
            guard trie.begins(with: text[index]), let (token, matched) = match(text, at: index) else {
                index += 1
                continue
            }
            var end = matched
            var begin = index
            if token.singleWord, !standsAlone(text, index..<end) {
                index = end
                continue
            }
            if token.stripsLeft {
                while begin > start, let before = space(text, endingAt: begin) { begin = before }
            }
            if token.stripsRight {
                while end < text.count, case let (kind, count) = CharacterClass.at(end, in: text),
                    CharacterClass.space.contains(kind)
                {
                    end += count
                }
            }
            if begin > start, !body(.text(start..<begin)) { return }
            if !body(.token(token.id)) { return }
            start = end
            // As in the tokenizers library: another token may begin in the white space that this one takes.
            index = matched
        }
        if start < text.count { _ = body(.text(start..<text.count)) }
    }

    /// The longest token at a position, and its end.
    private func match(_ text: UnsafeRawBufferPointer, at index: Int) -> (Vocabulary.AddedToken, end: Int)? {
        var longest: (number: Int32, end: Int)?
        trie.forEach(in: text, at: index) { longest = ($0, $1) }
        return longest.map { (tokens[Int($0.number)], $0.end) }
    }

    /// The start of the white space character that ends at a position.
    private func space(_ text: UnsafeRawBufferPointer, endingAt end: Int) -> Int? {
        var start = end - 1
        while start > 0, text[start] & 0xC0 == 0x80 { start -= 1 }
        return CharacterClass.space.contains(CharacterClass.at(start, in: text).0) ? start : nil
    }

    private func standsAlone(_ text: UnsafeRawBufferPointer, _ range: Range<Int>) -> Bool {
        func isWord(_ position: Int) -> Bool { CharacterClass.isWord(CharacterClass.scalar(at: position, in: text).0) }
        if range.upperBound < text.count, isWord(range.upperBound) { return false }
        var before = range.lowerBound - 1
        while before > 0, text[before] & 0xC0 == 0x80 { before -= 1 }
        return before < 0 || !isWord(before)
    }
}
