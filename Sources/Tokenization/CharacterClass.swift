/// What the regular expressions of pre-tokenizers ask of a character.
enum CharacterClass {
    /// `\p{L}`
    case letter
    /// `\p{N}`
    case number
    /// A line feed or a carriage return.
    case lineBreak
    /// Other white space, `\s`.
    case space
    /// Everything else.
    case sign

    var isSpace: Bool { self == .space || self == .lineBreak }

    private static let ascii: [CharacterClass] = (0..<128).map { byte in
        switch UInt8(byte) {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): .letter
        case UInt8(ascii: "0")...UInt8(ascii: "9"): .number
        case 0x0A, 0x0D: .lineBreak
        case 0x09, 0x0B, 0x0C, 0x20: .space
        default: .sign
        }
    }

    private init(_ scalar: Unicode.Scalar) {
        switch scalar.properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: self = .letter
        case .decimalNumber, .letterNumber, .otherNumber: self = .number
        default: self = scalar.properties.isWhitespace ? .space : .sign
        }
    }

    /// The class and the length in bytes of the character at a position in UTF-8 text.
    static func at(_ position: Int, in text: UnsafeRawBufferPointer) -> (CharacterClass, byteCount: Int) {
        let first = text[position]
        if first < 0x80 { return (ascii[Int(first)], 1) }
        let (scalar, count) = scalar(at: position, in: text)
        return (CharacterClass(scalar), count)
    }

    /// Whether a character is `\w`: a letter, a mark, a decimal digit, a connector or a joiner.
    static func isWord(_ scalar: Unicode.Scalar) -> Bool {
        let properties = scalar.properties
        switch properties.generalCategory {
        case .nonspacingMark, .spacingMark, .enclosingMark, .decimalNumber, .connectorPunctuation: return true
        default: return properties.isAlphabetic || properties.isJoinControl
        }
    }

    /// The character at a position in UTF-8 text that was checked before, and its length in bytes.
    static func scalar(
        at index: Int, in text: UnsafeRawBufferPointer
    ) -> (Unicode.Scalar, byteCount: Int) {
        let first = UInt32(text[index])
        let count = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4
        var value = count == 1 ? first : first & (0x7F >> UInt32(count))
        for next in 1..<max(count, 1) where index + next < text.count {
            value = value << 6 | UInt32(text[index + next] & 0x3F)
        }
        return (Unicode.Scalar(value) ?? "\u{FFFD}", min(count, text.count - index))
    }
}
