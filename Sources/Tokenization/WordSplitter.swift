internal import Formats

/// Splits text into words that are merged separately, as the regular expressions of pre-tokenizers do. It is written by
/// hand, because a regular expression engine takes fifteen times as long.
struct WordSplitter: Sendable {
    private let pattern: WordPattern

    init(_ pattern: WordPattern) { self.pattern = pattern }

    /// Calls `body` with each word, until it returns false.
    func split(_ text: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Bool) {
        guard pattern.isolatesNumbers else {
            _ = words(of: text, body)
            return
        }
        var start = 0
        var index = 0
        while index < text.count {
            let (kind, count) = CharacterClass.at(index, in: text)
            if kind == .number {
                guard words(of: part(text, start, index), body), body(part(text, index, index + count)) else { return }
                start = index + count
            }
            index += count
        }
        _ = words(of: part(text, start, index), body)
    }

    private func part(_ text: UnsafeRawBufferPointer, _ start: Int, _ end: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: text[start..<end])
    }

    private func words(of text: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Bool) -> Bool {
        var start = 0
        while start < text.count {
            let match = WordMatch(text: text, start: start, pattern: pattern)
            let end =
                switch pattern.family {
                case .gpt2: match.gpt2()
                case .cl100k: match.cl100k()
                case .cased: match.cased()
                }
            guard body(part(text, start, end)) else { return false }
            start = end
        }
        return true
    }
}

/// Matches one word at a position; tries the alternatives of the regular expression in order.
private struct WordMatch {
    let text: UnsafeRawBufferPointer
    let start: Int
    let pattern: WordPattern

    private func kind(_ index: Int) -> (CharacterClass, byteCount: Int)? {
        index < text.count ? CharacterClass.at(index, in: text) : nil
    }

    /// The end of the longest run of characters of a set from a position.
    private func run(of wanted: CharacterClass, from position: Int, atMost limit: Int = .max) -> Int {
        var position = position
        var count = 0
        while count < limit, let (found, bytes) = kind(position), wanted.contains(found) {
            position += bytes
            count += 1
        }
        return position
    }

    // 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
    func gpt2() -> Int {
        if let end = contraction(at: start, anyCase: false) { return end }
        let first = text[start] == 0x20 ? start + 1 : start
        if let (found, _) = kind(first), !CharacterClass.space.contains(found) {
            let others: CharacterClass = [.mark, .sign]
            let same: CharacterClass =
                CharacterClass.letter.contains(found) ? .letter : found == .number ? .number : others
            return run(of: same, from: first)
        }
        return spaces()
    }

    // (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,digits}
    // | ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
    // With marks, \p{L}+ is [\p{L}\p{M}]+, and the signs are without marks.
    func cl100k() -> Int {
        if let end = contraction(at: start, anyCase: true) { return end }
        guard let (first, bytes) = kind(start) else { return start }
        let word: CharacterClass = pattern.marks ? [.letter, .mark] : .letter
        if word.contains(first) { return run(of: word, from: start) }
        if first != .number, first != .lineBreak, let (next, _) = kind(start + bytes), word.contains(next) {
            return run(of: word, from: start + bytes)
        }
        return numbers(first) ?? signs(pattern.marks ? .sign : [.mark, .sign]) ?? lineBreaks() ?? spaces()
    }

    // With C = \p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M} and S = \p{Ll}\p{Lm}\p{Lo}\p{M}:
    // [^\r\n\p{L}\p{N}]?[C]*[S]+(?i:'s|…)?|[^\r\n\p{L}\p{N}]?[C]+[S]*(?i:'s|…)?|\p{N}{1,digits}
    // | ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
    func cased() -> Int {
        guard let (first, bytes) = kind(start) else { return start }
        let before = first == .number || first == .lineBreak || CharacterClass.letter.contains(first) ? 0 : bytes
        let found =
            (before > 0 ? endingSmall(from: start + before) : nil) ?? endingSmall(from: start)
            ?? (before > 0 ? beginningCapital(from: start + before) : nil) ?? beginningCapital(from: start)
        if let found {
            return pattern.contractions ? contraction(at: found, anyCase: true) ?? found : found
        }
        return numbers(first) ?? signs([.mark, .sign]) ?? lineBreaks() ?? spaces()
    }

    /// `[C]*[S]+`. The first set takes all it can, but leaves at least one character for the second.
    private func endingSmall(from start: Int) -> Int? {
        var position = start
        var lastOfBoth: Int?
        while let (found, bytes) = kind(position), CharacterClass.cased.contains(found) {
            position += bytes
            if found != .capital { lastOfBoth = position }
        }
        if kind(position)?.0 == .small { return run(of: .uncased, from: position) }
        return lastOfBoth
    }

    /// `[C]+[S]*`
    private func beginningCapital(from start: Int) -> Int? {
        let end = run(of: .cased, from: start)
        return end == start ? nil : run(of: .uncased, from: end)
    }

    /// `\p{N}{1,digits}`
    private func numbers(_ first: CharacterClass) -> Int? {
        first == .number ? run(of: .number, from: start, atMost: pattern.digits) : nil
    }

    /// ` ?[^\s\p{L}\p{N}]+[\r\n]*`
    private func signs(_ signs: CharacterClass) -> Int? {
        let first = text[start] == 0x20 ? start + 1 : start
        guard let (found, _) = kind(first), signs.contains(found) else { return nil }
        var end = run(of: .lineBreak, from: run(of: signs, from: first))
        while pattern.slashes, end < text.count, text[end] == UInt8(ascii: "/") {
            end = run(of: .lineBreak, from: end + 1)
        }
        return end
    }

    private func contraction(at start: Int, anyCase: Bool) -> Int? {
        guard start < text.count, text[start] == UInt8(ascii: "'") else { return nil }
        func letter(_ index: Int) -> UInt8? {
            guard index < text.count else { return nil }
            let byte = text[index]
            guard anyCase else { return byte }
            // The long s folds to s, as it does for the engines that read the expression.
            if byte == 0xC5, index + 1 < text.count, text[index + 1] == 0xBF { return 0xFF }
            return 0x41...0x5A ~= byte ? byte | 0x20 : byte
        }
        guard let first = letter(start + 1) else { return nil }
        switch (first, letter(start + 2)) {
        case (UInt8(ascii: "s"), _), (UInt8(ascii: "t"), _), (UInt8(ascii: "m"), _), (UInt8(ascii: "d"), _):
            return start + 2
        case (0xFF, _) where anyCase: return start + 3
        case (UInt8(ascii: "r"), UInt8(ascii: "e")), (UInt8(ascii: "v"), UInt8(ascii: "e")),
            (UInt8(ascii: "l"), UInt8(ascii: "l")):
            return start + 3
        default: return nil
        }
    }

    /// `\s*[\r\n]+`: white space up to its last line break.
    private func lineBreaks() -> Int? {
        var position = start
        var end: Int?
        while let (found, bytes) = kind(position), CharacterClass.space.contains(found) {
            position += bytes
            if found == .lineBreak { end = position }
        }
        return end
    }

    /// `\s+(?!\S)|\s+`: white space, without its last character where a word follows.
    private func spaces() -> Int {
        var position = start
        var last = start
        while let (found, bytes) = kind(position), CharacterClass.space.contains(found) {
            last = position
            position += bytes
        }
        return position == text.count || last == start ? position : last
    }
}

extension CharacterClass {
    /// What may stand in the first part of a word of the cased family.
    fileprivate static let cased: CharacterClass = [.capital, .otherLetter, .mark]
    /// What may stand in its second part.
    fileprivate static let uncased: CharacterClass = [.small, .otherLetter, .mark]
}
