internal import Checkpoints
internal import Formats

/// What the merges of a word begin with: the tokens of its bytes or of its characters.
struct SymbolTable: Sendable {
    /// The token of each byte; -1 where there is none.
    private let bytes: [Int32]
    /// The tokens of characters by their number; `nil` for byte-level vocabularies.
    private let characters: IntegerMap?
    /// The unknown token, for characters that are not in the vocabulary.
    private let unknown: Int32?
    private let fusesUnknown: Bool
    private let fallsBackToBytes: Bool
    /// Characters that are no tokens but parts of some: their numbers follow those of the tokens.
    private let parts: [Unicode.Scalar]
    private let tokenCount: Int32

    /// A table of the bytes of a byte-level vocabulary.
    init(bytes ids: [ExactString: Int32]) {
        bytes = ByteAlphabet.characters.map { ids[ExactString(String(Character($0)))] ?? -1 }
        characters = nil
        unknown = nil
        fusesUnknown = false
        fallsBackToBytes = false
        parts = []
        tokenCount = 0
    }

    /// A table of characters.
    ///
    /// - Parameter parts: characters that are no tokens and can be merged all the same.
    init(characters ids: [ExactString: Int32], of vocabulary: Vocabulary, parts: [Unicode.Scalar]) {
        bytes = (0..<256).map { byte in
            let digits = String(byte, radix: 16, uppercase: true)
            return ids[ExactString("<0x" + (digits.count < 2 ? "0" : "") + digits + ">")] ?? -1
        }
        var characters = IntegerMap(capacity: 1 << 12)
        for (token, id) in ids where token.text.unicodeScalars.count == 1 {
            if let scalar = token.text.unicodeScalars.first { characters.insert(UInt64(scalar.value), id) }
        }
        tokenCount = Int32(vocabulary.tokens.count)
        for (number, scalar) in parts.enumerated() {
            characters.insert(UInt64(scalar.value), tokenCount + Int32(number))
        }
        self.characters = characters
        self.parts = parts
        unknown = vocabulary.unknownSymbolID.map { Int32($0) }
        fusesUnknown = vocabulary.fusesUnknown
        fallsBackToBytes = vocabulary.fallsBackToBytes
    }

    /// The symbols of a word.
    func symbols(_ word: UnsafeRawBufferPointer) -> [Int32] {
        guard let characters else {
            // Bytes that are not in the vocabulary are dropped, as the tokenizers library does without an unknown token.
            var symbols: [Int32] = []
            symbols.reserveCapacity(word.count)
            for byte in word where bytes[Int(byte)] >= 0 { symbols.append(bytes[Int(byte)]) }
            return symbols
        }
        var symbols: [Int32] = []
        var index = 0
        var wasUnknown = false
        while index < word.count {
            let (scalar, count) = CharacterClass.scalar(at: index, in: word)
            if let known = characters[UInt64(scalar.value)] {
                symbols.append(known.first)
                wasUnknown = false
            } else {
                wasUnknown = append(UnsafeRawBufferPointer(rebasing: word[index..<index + count]), wasUnknown, &symbols)
            }
            index += count
        }
        return symbols
    }

    /// Appends the bytes or the unknown token for a character without a token.
    ///
    /// - Returns: whether the last symbol is the unknown token.
    private func append(_ character: UnsafeRawBufferPointer, _ wasUnknown: Bool, _ symbols: inout [Int32]) -> Bool {
        if fallsBackToBytes, character.allSatisfy({ bytes[Int($0)] >= 0 }) {
            for byte in character { symbols.append(bytes[Int(byte)]) }
            return false
        }
        guard let unknown else { return wasUnknown }
        if !(wasUnknown && fusesUnknown) { symbols.append(unknown) }
        return true
    }

    /// Replaces the numbers of characters that are not tokens by their bytes or the unknown token.
    func finish(_ symbols: [Int32]) -> [Int32] {
        guard !parts.isEmpty, symbols.contains(where: { $0 >= tokenCount }) else { return symbols }
        var result: [Int32] = []
        for symbol in symbols {
            guard symbol >= tokenCount else {
                result.append(symbol)
                continue
            }
            let character = Array(String(Character(parts[Int(symbol - tokenCount)])).utf8)
            _ = character.withUnsafeBytes { append($0, false, &result) }
        }
        return result
    }
}
