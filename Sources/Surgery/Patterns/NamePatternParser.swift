/// The elements of a pattern.
indirect enum NamePatternNode: Sendable {
    case bytes(ByteSet)
    case assertion(NamePatternAssertion)
    case sequence([NamePatternNode])
    case choice([NamePatternNode])
    case repeated(NamePatternNode, atLeast: Int, atMost: Int?)

    /// Matches the empty text everywhere, without a step. No other node holds one, so that the steps bound the work.
    static let empty = NamePatternNode.sequence([])

    var isEmpty: Bool {
        guard case .sequence(let nodes) = self else { return false }
        return nodes.isEmpty
    }
}

/// Parses a pattern by recursive descent, with one function per level of the grammar.
struct NamePatternParser {
    /// The maximum depth of nested groups, which limits the stack.
    private static let maximumDepth = 50

    let dialect: NamePatternDialect
    let bytes: [UInt8]
    var position = 0
    private var depth = 0
    private var groupNames: Set<[UInt8]> = []
    /// What look-aheads look for, inner ones before outer ones.
    private(set) var aheads: [NamePatternNode] = []
    /// Whether alternatives stand outside all groups.
    private(set) var hasOuterAlternatives = false

    init(_ text: String, dialect: NamePatternDialect) throws(NamePatternError) {
        self.dialect = dialect
        bytes = Array(text.utf8)
        guard bytes.allSatisfy({ 0x20..<0x7F ~= $0 }) else {
            throw NamePatternError("contains a control character or one outside ASCII")
        }
        guard !bytes.isEmpty else { throw NamePatternError("is empty") }
    }

    var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    mutating func take(_ byte: Character) -> Bool {
        guard next == byte.asciiValue else { return false }
        position += 1
        return true
    }

    /// The whole pattern.
    mutating func parse() throws(NamePatternError) -> NamePatternNode {
        let result = try alternatives()
        guard position == bytes.count else {
            throw NamePatternError("closes a group that is not open, at character \(position + 1)")
        }
        return result
    }

    private mutating func alternatives() throws(NamePatternError) -> NamePatternNode {
        var result = [try sequence()]
        while take("|") { result.append(try sequence()) }
        guard result.count > 1 else { return result[0] }
        if depth == 0 { hasOuterAlternatives = true }
        return .choice(result)
    }

    private mutating func sequence() throws(NamePatternError) -> NamePatternNode {
        var items: [NamePatternNode] = []
        while let byte = next, byte != UInt8(ascii: "|"), byte != UInt8(ascii: ")") {
            let item = try item()
            if !item.isEmpty { items.append(item) }
        }
        return .sequence(items)
    }

    /// An atom with its quantifier.
    private mutating func item() throws(NamePatternError) -> NamePatternNode {
        if take("^") { return .assertion(.start) }
        if take("$") { return .assertion(dialect.dollar) }
        if next == UInt8(ascii: "\\"), position + 1 < bytes.count,
            let assertion = dialect.assertion(Character(UnicodeScalar(bytes[position + 1])))
        {
            position += 2
            return .assertion(assertion)
        }
        let atom = try atom()
        guard let (atLeast, atMost) = try quantifier() else { return atom }
        // Lazy quantifiers match the same names as greedy ones.
        _ = take("?")
        if try quantifier() != nil {
            throw NamePatternError("has a quantifier after a quantifier, before character \(position + 1)")
        }
        return atom.isEmpty || atMost == 0 ? .empty : .repeated(atom, atLeast: atLeast, atMost: atMost)
    }

    private mutating func quantifier() throws(NamePatternError) -> (Int, Int?)? {
        if take("*") { return (0, nil) }
        if take("+") { return (1, nil) }
        if take("?") { return (0, 1) }
        guard take("{") else { return nil }
        let atLeast = dialect == .python && next == UInt8(ascii: ",") ? 0 : try number()
        let atMost = take(",") ? (next == UInt8(ascii: "}") ? nil : try number()) : atLeast
        guard take("}"), atMost.map({ $0 >= atLeast }) ?? true else {
            throw NamePatternError(
                "has a count that is not {m}, {m,} or {m,n}, before character \(position + 1)")
        }
        return (atLeast, atMost)
    }

    private mutating func number() throws(NamePatternError) -> Int {
        let digits = bytes[position...].prefix { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }
        guard let number = Int(String(decoding: digits, as: UTF8.self)),
            number <= NamePatternCompiler.maximumCount
        else {
            throw NamePatternError(
                "has a count that is not a number up to \(NamePatternCompiler.maximumCount), at character \(position + 1)"
            )
        }
        position += digits.count
        return number
    }

    private mutating func atom() throws(NamePatternError) -> NamePatternNode {
        let byte = bytes[position]
        switch Character(UnicodeScalar(byte)) {
        case "(": return try group()
        case "[":
            position += 1
            return .bytes(try characterClass())
        case ".":
            position += 1
            return .bytes(dialect.anyCharacter)
        case "\\": return .bytes(try escape())
        case "*", "+", "?", "{":
            throw NamePatternError("has a quantifier without an atom, at character \(position + 1)")
        default:
            position += 1
            return .bytes(dialect.letter(byte))
        }
    }

    /// What an opening parenthesis begins.
    private enum GroupKind {
        case plain
        /// A look-ahead, and whether it is to hold.
        case ahead(Bool)
    }

    private mutating func group() throws(NamePatternError) -> NamePatternNode {
        position += 1
        let kind = take("?") ? try groupKind() : .plain
        depth += 1
        defer { depth -= 1 }
        guard depth <= NamePatternParser.maximumDepth else {
            throw NamePatternError("has more than \(NamePatternParser.maximumDepth) nested groups")
        }
        let result = try alternatives()
        guard take(")") else { throw NamePatternError("does not close a group") }
        guard case .ahead(let isWanted) = kind else { return result }
        aheads.append(result)
        return .assertion(.ahead(aheads.count - 1, isWanted))
    }

    /// What follows `(?`.
    private mutating func groupKind() throws(NamePatternError) -> GroupKind {
        if take(":") { return .plain }
        guard dialect == .python else {
            throw NamePatternError("has a look-ahead, which resect does not support, at character \(position)")
        }
        if take("=") { return .ahead(true) }
        if take("!") { return .ahead(false) }
        let start = position
        if take("P"), take("<") {
            try groupName()
            return .plain
        }
        let isLong = start < bytes.count && "<P".utf8.contains(bytes[start])
        let text = String(decoding: bytes[start...].prefix(isLong ? 2 : 1), as: UTF8.self)
        throw NamePatternError("contains '(?\(text)', which resect does not support, at character \(start - 1)")
    }

    /// A name and the `>` behind it. Nothing refers to it.
    private mutating func groupName() throws(NamePatternError) {
        let name = Array(
            bytes[position...].prefix { NamePatternDialect.python.wordCharacters.contains($0) })
        position += name.count
        guard let first = name.first, !(UInt8(ascii: "0")...UInt8(ascii: "9") ~= first), take(">")
        else {
            throw NamePatternError(
                "has a group whose name is not an identifier, before character \(position + 1)")
        }
        guard groupNames.insert(name).inserted else {
            throw NamePatternError("has two groups named '\(String(decoding: name, as: UTF8.self))'")
        }
    }

    /// An escape after a backslash: a class, or a character other than letters and digits.
    mutating func escape() throws(NamePatternError) -> ByteSet {
        guard position + 1 < bytes.count else { throw NamePatternError("ends with a backslash") }
        let byte = bytes[position + 1]
        position += 2
        let letter = Character(UnicodeScalar(byte))
        if let set = dialect.named(letter) { return set }
        guard !letter.isLetter && !letter.isNumber else {
            throw NamePatternError("contains '\\\(letter)', which resect does not support")
        }
        return dialect.letter(byte)
    }
}
