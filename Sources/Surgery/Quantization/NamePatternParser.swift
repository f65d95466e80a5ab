/// What a pattern is made of.
indirect enum NamePatternNode {
    case bytes(ByteSet)
    case start, end
    case sequence([NamePatternNode])
    case choice([NamePatternNode])
    case repeated(NamePatternNode, atLeast: Int, atMost: Int?)
}

/// Reads a pattern by recursive descent, one function for each level of the grammar.
struct NamePatternParser {
    /// More groups in each other than this are refused, so that the stack suffices.
    private static let maximumDepth = 50

    private let bytes: [UInt8]
    private var place = 0
    private var depth = 0

    init(_ text: String) throws(NamePatternError) {
        bytes = Array(text.utf8)
        guard bytes.allSatisfy({ 0x20..<0x7F ~= $0 }) else {
            throw NamePatternError("holds a character outside ASCII, or a control character")
        }
        guard !bytes.isEmpty else { throw NamePatternError("is empty") }
    }

    private var next: UInt8? { place < bytes.count ? bytes[place] : nil }

    private mutating func take(_ byte: Character) -> Bool {
        guard next == byte.asciiValue else { return false }
        place += 1
        return true
    }

    /// The whole pattern.
    mutating func parse() throws(NamePatternError) -> NamePatternNode {
        let result = try alternatives()
        guard place == bytes.count else {
            throw NamePatternError("closes a group that is not open, at character \(place + 1)")
        }
        return result
    }

    private mutating func alternatives() throws(NamePatternError) -> NamePatternNode {
        var result = [try sequence()]
        while take("|") { result.append(try sequence()) }
        return result.count == 1 ? result[0] : .choice(result)
    }

    private mutating func sequence() throws(NamePatternError) -> NamePatternNode {
        var items: [NamePatternNode] = []
        while let byte = next, byte != UInt8(ascii: "|"), byte != UInt8(ascii: ")") {
            items.append(try item())
        }
        return .sequence(items)
    }

    /// An atom with what says how often it comes.
    private mutating func item() throws(NamePatternError) -> NamePatternNode {
        if take("^") { return .start }
        if take("$") { return .end }
        let atom = try atom()
        guard let (atLeast, atMost) = try quantifier() else { return atom }
        // As few as possible, or as many: it is the same to whether there is a match.
        _ = take("?")
        if try quantifier() != nil { throw NamePatternError("repeats a repetition, before character \(place + 1)") }
        return .repeated(atom, atLeast: atLeast, atMost: atMost)
    }

    private mutating func quantifier() throws(NamePatternError) -> (Int, Int?)? {
        if take("*") { return (0, nil) }
        if take("+") { return (1, nil) }
        if take("?") { return (0, 1) }
        guard take("{") else { return nil }
        let atLeast = try number()
        let atMost = take(",") ? (next == UInt8(ascii: "}") ? nil : try number()) : atLeast
        guard take("}"), atMost.map({ $0 >= atLeast }) ?? true else {
            throw NamePatternError("has a count that is none of {m}, {m,} and {m,n}, before character \(place + 1)")
        }
        return (atLeast, atMost)
    }

    private mutating func number() throws(NamePatternError) -> Int {
        let digits = bytes[place...].prefix { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }
        guard let number = Int(String(decoding: digits, as: UTF8.self)), number <= NamePatternCompiler.maximumCount
        else {
            throw NamePatternError(
                "has a count that is no number up to \(NamePatternCompiler.maximumCount), at character \(place + 1)")
        }
        place += digits.count
        return number
    }

    private mutating func atom() throws(NamePatternError) -> NamePatternNode {
        let byte = bytes[place]
        switch Character(UnicodeScalar(byte)) {
        case "(": return try group()
        case "[":
            place += 1
            return .bytes(try characterClass())
        case ".":
            place += 1
            return .bytes(ByteSet.lineEnds.inverted)
        case "\\": return .bytes(try escape())
        case "*", "+", "?", "{": throw NamePatternError("repeats nothing, at character \(place + 1)")
        default:
            place += 1
            return .bytes(.letter(byte))
        }
    }

    private mutating func group() throws(NamePatternError) -> NamePatternNode {
        place += 1
        if take("?"), !take(":") {
            throw NamePatternError("looks ahead, which is not understood, at character \(place)")
        }
        depth += 1
        defer { depth -= 1 }
        guard depth <= NamePatternParser.maximumDepth else {
            throw NamePatternError("has more than \(NamePatternParser.maximumDepth) groups in each other")
        }
        let result = try alternatives()
        guard take(")") else { throw NamePatternError("does not close a group") }
        return result
    }

    /// What follows a backslash: a class, or a character that is no letter and no digit.
    private mutating func escape() throws(NamePatternError) -> ByteSet {
        guard place + 1 < bytes.count else { throw NamePatternError("ends with a backslash") }
        let byte = bytes[place + 1]
        place += 2
        switch Character(UnicodeScalar(byte)) {
        case "d": return .digits
        case "w": return .wordCharacters
        case "s": return .spaces
        case let letter where letter.isLetter || letter.isNumber:
            throw NamePatternError("holds '\\\(letter)', which is not understood")
        default: return .letter(byte)
        }
    }

    /// What follows an opening bracket, to the closing one.
    private mutating func characterClass() throws(NamePatternError) -> ByteSet {
        let isInverted = take("^")
        guard next != UInt8(ascii: "]") else { throw NamePatternError("has an empty class") }
        var result = ByteSet()
        let start = place
        while !take("]") { result.formUnion(try classMember(isFirst: place == start)) }
        return isInverted ? result.inverted : result
    }

    /// A character of a class, a range or an escaped class.
    private mutating func classMember(isFirst: Bool) throws(NamePatternError) -> ByteSet {
        guard let byte = next else { throw NamePatternError("does not close a class") }
        if byte == UInt8(ascii: "\\") {
            let result = try escape()
            guard !isRange else {
                throw NamePatternError("has a range that begins with a backslash, at character \(place + 1)")
            }
            return result
        }
        place += 1
        if byte == UInt8(ascii: "["), let next, ":.=".utf8.contains(next) {
            throw NamePatternError("has a class by name, which is not understood, at character \(place)")
        }
        guard byte != UInt8(ascii: "-") || isFirst || next == UInt8(ascii: "]") else {
            throw NamePatternError("has '-' neither between two characters nor at an end of a class")
        }
        return isRange ? try range(from: byte) : .letter(byte)
    }

    /// Whether a `-` follows that is not the last character of a class.
    private var isRange: Bool {
        next == UInt8(ascii: "-") && place + 1 < bytes.count && bytes[place + 1] != UInt8(ascii: "]")
    }

    private mutating func range(from first: UInt8) throws(NamePatternError) -> ByteSet {
        let last = bytes[place + 1]
        guard !"\\[".utf8.contains(last), first.lowercase <= last.lowercase else {
            throw NamePatternError("has a range that does not end with a later character, at character \(place + 1)")
        }
        place += 2
        return ByteSet(first.lowercase...last.lowercase)
    }
}

extension UInt8 {
    /// The letter in its small form.
    fileprivate var lowercase: UInt8 { UInt8(ascii: "A")...UInt8(ascii: "Z") ~= self ? self | 0x20 : self }
}

extension ByteSet {
    fileprivate static func letter(_ byte: UInt8) -> ByteSet { ByteSet(byte.lowercase...byte.lowercase) }

    fileprivate static let digits = ByteSet(UInt8(ascii: "0")...UInt8(ascii: "9"))
    fileprivate static let spaces: ByteSet = {
        var result = ByteSet(9...13)
        result.insert(UInt8(ascii: " "))
        return result
    }()
    fileprivate static let lineEnds: ByteSet = {
        var result = ByteSet(10...10)
        result.insert(13)
        return result
    }()
    fileprivate static let wordCharacters: ByteSet = {
        var result = digits
        result.formUnion(ByteSet(UInt8(ascii: "A")...UInt8(ascii: "Z")))
        result.formUnion(ByteSet(UInt8(ascii: "a")...UInt8(ascii: "z")))
        result.insert(UInt8(ascii: "_"))
        return result
    }()
}
