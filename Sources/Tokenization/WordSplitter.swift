internal import Formats

/// Splits text into words that are merged separately, as the regular expressions of GPT-2 and cl100k do. It is written
/// by hand, because a regular expression engine takes fifteen times as long.
struct WordSplitter: Sendable {
    private let pattern: PreTokenizer.Pattern
    private let digits: Int
    private let isolatesNumbers: Bool

    init(_ preTokenizer: PreTokenizer) {
        pattern = preTokenizer.pattern
        digits = preTokenizer.digits
        isolatesNumbers = preTokenizer.isolatesNumbers
    }

    /// Calls `body` with each word, until it returns false.
    func split(_ text: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Bool) {
        guard isolatesNumbers else {
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
            var cursor = Cursor(text: text, start: start)
            let end = pattern == .gpt2 ? cursor.gpt2() : cursor.cl100k(digits: digits)
            guard body(part(text, start, end)) else { return false }
            start = end
        }
        return true
    }
}

/// Matches one word at a position; tries the alternatives of the regular expression in order.
private struct Cursor {
    let text: UnsafeRawBufferPointer
    let start: Int

    private func kind(_ index: Int) -> (CharacterClass, byteCount: Int)? {
        index < text.count ? CharacterClass.at(index, in: text) : nil
    }

    /// The end of the longest run of one class from a position.
    private func run(of wanted: CharacterClass, from position: Int, atMost limit: Int = .max) -> Int {
        var position = position
        var count = 0
        while count < limit, let (found, bytes) = kind(position), found == wanted {
            position += bytes
            count += 1
        }
        return position
    }

    // 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
    mutating func gpt2() -> Int {
        if let end = contraction(anyCase: false) { return end }
        let first = text[start] == 0x20 ? start + 1 : start
        if let (found, _) = kind(first), !found.isSpace { return run(of: found, from: first) }
        return spaces()
    }

    // (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,digits}
    // | ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
    mutating func cl100k(digits: Int) -> Int {
        if let end = contraction(anyCase: true) { return end }
        guard let (first, bytes) = kind(start) else { return start }
        if first == .letter { return run(of: .letter, from: start) }
        if first == .number { return run(of: .number, from: start, atMost: digits) }
        if first != .lineBreak, kind(start + bytes)?.0 == .letter {
            return run(of: .letter, from: start + bytes)
        }
        let sign = text[start] == 0x20 ? start + 1 : start
        if kind(sign)?.0 == .sign {
            return run(of: .lineBreak, from: run(of: .sign, from: sign))
        }
        return lineBreaks() ?? spaces()
    }

    private func contraction(anyCase: Bool) -> Int? {
        guard text[start] == UInt8(ascii: "'") else { return nil }
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
        while let (found, bytes) = kind(position), found.isSpace {
            position += bytes
            if found == .lineBreak { end = position }
        }
        return end
    }

    /// `\s+(?!\S)|\s+`: white space, without its last character where a word follows.
    private func spaces() -> Int {
        var position = start
        var last = start
        while let (found, bytes) = kind(position), found.isSpace {
            last = position
            position += bytes
        }
        return position == text.count || last == start ? position : last
    }
}
