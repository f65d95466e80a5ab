/// What the regular expressions of pre-tokenizers ask of a character. Every character is in one class; a set holds several.
struct CharacterClass: OptionSet, Sendable {
    let rawValue: UInt8

    /// `\p{Lu}` and `\p{Lt}`
    static let capital = CharacterClass(rawValue: 1)
    /// `\p{Ll}`
    static let small = CharacterClass(rawValue: 2)
    /// `\p{Lm}` and `\p{Lo}`
    static let otherLetter = CharacterClass(rawValue: 4)
    /// `\p{M}`
    static let mark = CharacterClass(rawValue: 8)
    /// `\p{N}`
    static let number = CharacterClass(rawValue: 16)
    /// A line feed or a carriage return.
    static let lineBreak = CharacterClass(rawValue: 32)
    /// Other white space, `\s`.
    static let blank = CharacterClass(rawValue: 64)
    /// Everything else.
    static let sign = CharacterClass(rawValue: 128)

    /// `\p{L}`
    static let letter: CharacterClass = [.capital, .small, .otherLetter]
    /// `\s`
    static let space: CharacterClass = [.lineBreak, .blank]

    private init(_ scalar: Unicode.Scalar) {
        switch scalar.properties.generalCategory {
        case .uppercaseLetter, .titlecaseLetter: self = .capital
        case .lowercaseLetter: self = .small
        case .modifierLetter, .otherLetter: self = .otherLetter
        case .nonspacingMark, .spacingMark, .enclosingMark: self = .mark
        case .decimalNumber, .letterNumber, .otherNumber: self = .number
        default:
            let isBreak = scalar == "\n" || scalar == "\r"
            self = isBreak ? .lineBreak : scalar.properties.isWhitespace ? .blank : .sign
        }
    }

    init(rawValue: UInt8) { self.rawValue = rawValue }

    /// The classes of the characters below U+10000. Unicode's properties take about fifty times as long.
    private static let table: [CharacterClass] = (0..<0x10000).map { value in
        Unicode.Scalar(UInt32(value)).map { CharacterClass($0) } ?? .sign
    }

    /// The class and the length in bytes of the character at a position in UTF-8 text.
    static func at(_ position: Int, in text: UnsafeRawBufferPointer) -> (CharacterClass, byteCount: Int) {
        let first = text[position]
        if first < 0x80 { return (table[Int(first)], 1) }
        let (scalar, count) = scalar(at: position, in: text)
        return (scalar.value < 0x10000 ? table[Int(scalar.value)] : CharacterClass(scalar), count)
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
