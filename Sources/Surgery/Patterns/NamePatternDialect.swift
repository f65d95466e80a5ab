/// The language of a pattern.
enum NamePatternDialect: Sendable {
    /// ECMAScript as std::regex reads it, in lower case. Names are bytes of UTF-8.
    case ecmaScript
    /// Python's re for str, case-sensitive. Names are ASCII bytes, and a symbol above 127 for any other character.
    case python

    /// What a character outside ASCII is replaced by in Python's dialect: patterns are ASCII, so that only its kind
    /// counts.
    private enum Symbol {
        static let letter: UInt8 = 128
        static let digit: UInt8 = 129
        static let space: UInt8 = 130
        static let other: UInt8 = 131
    }

    /// The characters of a name, a byte each.
    static func pythonSymbols(of name: String) -> [UInt8] {
        let bytes = Array(name.utf8)
        guard !bytes.allSatisfy({ $0 < 128 }) else { return bytes }
        return name.unicodeScalars.map { scalar in
            guard !scalar.isASCII else { return UInt8(scalar.value) }
            switch scalar.properties.generalCategory {
            case .decimalNumber: return Symbol.digit
            case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter:
                return Symbol.letter
            default:
                if scalar.properties.numericType != nil { return Symbol.letter }
                return scalar.properties.isWhitespace ? Symbol.space : Symbol.other
            }
        }
    }

    /// A character as it is compared.
    func folded(_ byte: UInt8) -> UInt8 {
        self == .ecmaScript && UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte ? byte | 0x20 : byte
    }

    /// A single character.
    func letter(_ byte: UInt8) -> ByteSet { ByteSet(folded(byte)...folded(byte)) }

    /// What a dot matches.
    var anyCharacter: ByteSet { ByteSet(self == .python ? [10] : [10, 13]).inverted }

    /// What a backslash and a letter match.
    func named(_ letter: Character) -> ByteSet? {
        switch letter {
        case "d": digits
        case "w": wordCharacters
        case "s": spaces
        case "D" where self == .python: digits.inverted
        case "W" where self == .python: wordCharacters.inverted
        case "S" where self == .python: spaces.inverted
        default: nil
        }
    }

    /// What a backslash and a letter assert.
    func assertion(_ letter: Character) -> NamePatternAssertion? {
        guard self == .python else { return nil }
        switch letter {
        case "A": return .start
        case "Z": return .end
        case "b": return .wordBoundary(true)
        case "B": return .wordBoundary(false)
        default: return nil
        }
    }

    /// What `$` asserts.
    var dollar: NamePatternAssertion { self == .python ? .lastLineEnd : .end }

    var digits: ByteSet {
        var result = ByteSet(UInt8(ascii: "0")...UInt8(ascii: "9"))
        if self == .python { result.insert(Symbol.digit) }
        return result
    }

    private var spaces: ByteSet {
        var result = ByteSet(9...13)
        result.insert(UInt8(ascii: " "))
        if self == .python { result.formUnion(ByteSet([0x1C, 0x1D, 0x1E, 0x1F, Symbol.space])) }
        return result
    }

    var wordCharacters: ByteSet {
        var result = digits
        result.formUnion(ByteSet(UInt8(ascii: "A")...UInt8(ascii: "Z")))
        result.formUnion(ByteSet(UInt8(ascii: "a")...UInt8(ascii: "z")))
        result.insert(UInt8(ascii: "_"))
        if self == .python { result.insert(Symbol.letter) }
        return result
    }
}
