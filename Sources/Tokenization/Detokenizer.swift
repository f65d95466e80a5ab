package import Checkpoints

/// Turns tokens back into the bytes of a text.
package struct Detokenizer: Sendable {
    private let vocabulary: Vocabulary
    private let skipsSpecial: Bool
    /// The byte of every character of the byte-level alphabet.
    private let bytes: [Unicode.Scalar: UInt8]

    /// A detokenizer of a vocabulary.
    ///
    /// - Parameter skipsSpecial: whether control tokens leave no text, as with `skip_special_tokens` of transformers.
    package init(_ vocabulary: Vocabulary, skipsSpecial: Bool = true) {
        self.vocabulary = vocabulary
        self.skipsSpecial = skipsSpecial
        var bytes: [Unicode.Scalar: UInt8] = [:]
        for (byte, scalar) in ByteAlphabet.characters.enumerated() { bytes[scalar] = UInt8(byte) }
        self.bytes = bytes
    }

    /// The bytes of a token, which may be a part of a character. An ID outside the vocabulary has none.
    package func bytes(of token: Int32) -> [UInt8] {
        guard let id = Int(exactly: token), vocabulary.tokens.indices.contains(id) else { return [] }
        let text = vocabulary.tokens[id]
        if vocabulary.model != .byteLevelBPE { return symbolBytes(text, vocabulary.kinds[id]) }
        switch vocabulary.kinds[id] {
        case .unused: return []
        case .control: return skipsSpecial ? [] : Array(text.utf8)
        case .normal, .unknown, .byte:
            let known = text.unicodeScalars.map { bytes[$0] }
            // A text that is not written in the alphabet stands for itself, as in the tokenizers library.
            return known.contains(nil) ? Array(text.utf8) : known.compactMap(\.self)
        case .userDefined: return Array(text.utf8)
        }
    }

    /// The bytes of a token of SentencePiece's kinds, in which a symbol stands for a space.
    private func symbolBytes(_ text: String, _ kind: Vocabulary.TokenKind) -> [UInt8] {
        switch kind {
        case .unused: return []
        case .control, .unknown: return skipsSpecial ? [] : Array(text.utf8)
        case .byte: return Vocabulary.byte(of: text).map { [$0] } ?? Array(text.utf8)
        case .normal, .userDefined: return Array(Vocabulary.withSpaces(text).utf8)
        }
    }

    /// The text of some tokens; bytes that are no UTF-8 become U+FFFD.
    ///
    /// - Parameter begins: whether the tokens begin a text, so that the space that the tokenizer put in front is removed.
    package func text(of tokens: [Int32], begins: Bool = false) -> String {
        var bytes = tokens.flatMap { self.bytes(of: $0) }
        if begins, vocabulary.putsSpaceInFront, bytes.first == 0x20 { bytes.removeFirst() }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// Text that arrives token by token: the bytes of an incomplete character are held back.
package struct TextStream: Sendable {
    private let detokenizer: Detokenizer
    private var held: [UInt8] = []

    /// An empty stream.
    package init(_ detokenizer: Detokenizer) { self.detokenizer = detokenizer }

    /// The characters that a token completes.
    package mutating func add(_ token: Int32) -> String {
        held += detokenizer.bytes(of: token)
        let count = held.count - TextStream.incomplete(held)
        defer { held.removeFirst(count) }
        return String(decoding: held[..<count], as: UTF8.self)
    }

    /// What is left at the end: U+FFFD for a character that stays incomplete.
    package mutating func finish() -> String {
        defer { held = [] }
        return String(decoding: held, as: UTF8.self)
    }

    /// How many bytes at the end begin a character whose other bytes are missing.
    private static func incomplete(_ bytes: [UInt8]) -> Int {
        for (index, byte) in bytes.reversed().prefix(3).enumerated() where byte & 0xC0 != 0x80 {
            let length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1
            return length > index + 1 ? index + 1 : 0
        }
        return 0
    }
}
