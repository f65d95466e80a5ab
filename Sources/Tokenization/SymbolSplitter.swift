internal import Checkpoints

/// Splits text in which SentencePiece's symbol stands for spaces.
struct SymbolSplitter: Sendable {
    private static let symbol = Array(Vocabulary.spaceSymbol.utf8)
    private let metaspace: Vocabulary.Metaspace?
    /// For each byte, whether any token has the symbol after it. After other bytes a text can be cut before the symbol
    /// without changing its tokens.
    private let joins: [Bool]

    init(_ vocabulary: Vocabulary) {
        metaspace = vocabulary.metaspace
        var joins = Array(repeating: false, count: 256)
        var isKnown = false
        for (id, token) in vocabulary.tokens.enumerated() where !vocabulary.isPlaceholder(id) {
            let text = Array(token.utf8)
            if text == SymbolSplitter.symbol { isKnown = true }
            for index in text.indices.dropFirst() where SymbolSplitter.isSymbol(text, at: index) {
                joins[Int(text[index - 1])] = true
            }
        }
        // If the symbol is not a token, it may join unknown neighbours in one token, so no cut is safe. Nor is one where unknown
        // characters vanish, so that their neighbours meet.
        let vanishes = vocabulary.unknownSymbolID == nil && !vocabulary.fallsBackToBytes
        self.joins = isKnown && !vanishes ? joins : Array(repeating: true, count: 256)
    }

    private static func isSymbol(_ text: some RandomAccessCollection<UInt8>, at index: Int) -> Bool {
        guard text.count - index >= 3 else { return false }
        let start = text.index(text.startIndex, offsetBy: index)
        return text[start...].starts(with: symbol)
    }

    /// Whether a text can be cut before every space that follows an ASCII letter.
    var cutsAfterLetters: Bool {
        splits || (UInt8(ascii: "a")...UInt8(ascii: "z")).allSatisfy { !joins[Int($0)] && !joins[Int($0 & 0xDF)] }
    }

    private var splits: Bool { metaspace?.splits == true }

    /// Calls `body` with each word, until it returns false.
    ///
    /// - Parameters:
    ///   - isFirst: whether the text is at the very beginning.
    ///   - continues: whether the text goes on from one that was split before, so that no symbol is put in front.
    func split(_ text: UnsafeRawBufferPointer, isFirst: Bool, continues: Bool, _ body: (UnsafeRawBufferPointer) -> Bool)
    {
        guard let metaspace else {
            _ = words(of: text, body)
            return
        }
        guard metaspace.dropsWhitespace else {
            _ = prefixed(text, metaspace, isFirst: isFirst, continues: continues, body)
            return
        }
        var start = 0
        while start < text.count {
            var end = start
            while end < text.count, case let (kind, count) = CharacterClass.at(end, in: text),
                !CharacterClass.space.contains(kind)
            {
                end += count
            }
            let word = UnsafeRawBufferPointer(rebasing: text[start..<end])
            let isWhole = start > 0 || !continues
            guard end == start || prefixed(word, metaspace, isFirst: isFirst && start == 0, continues: !isWhole, body)
            else { return }
            start = end
            while start < text.count, case let (kind, count) = CharacterClass.at(start, in: text),
                CharacterClass.space.contains(kind)
            {
                start += count
            }
        }
    }

    /// Replaces spaces by the symbol, puts it in front where the metaspace says so, and splits.
    private func prefixed(
        _ text: UnsafeRawBufferPointer, _ metaspace: Vocabulary.Metaspace, isFirst: Bool, continues: Bool,
        _ body: (UnsafeRawBufferPointer) -> Bool
    ) -> Bool {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count + text.count / 2 + 3)
        let wants = metaspace.prepending == .always || metaspace.prepending == .first && isFirst
        let has = text.first == 0x20 || SymbolSplitter.isSymbol(text, at: 0)
        if wants, !continues, !has { bytes += SymbolSplitter.symbol }
        for byte in text { if byte == 0x20 { bytes += SymbolSplitter.symbol } else { bytes.append(byte) } }
        return bytes.withUnsafeBytes { words(of: $0, body) }
    }

    private func words(of text: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Bool) -> Bool {
        var start = 0
        var index = 1
        while index + 2 < text.count {
            if text[index] == 0xE2, text[index + 1] == 0x96, text[index + 2] == 0x81,
                splits || !joins[Int(text[index - 1])]
            {
                guard body(UnsafeRawBufferPointer(rebasing: text[start..<index])) else { return false }
                start = index
                index += 2
            }
            index += 1
        }
        return start == text.count || body(UnsafeRawBufferPointer(rebasing: text[start..<text.count]))
    }
}
