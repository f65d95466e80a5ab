/// Classes of characters.
extension NamePatternParser {
    /// A class after its opening bracket, up to the closing one.
    mutating func characterClass() throws(NamePatternError) -> ByteSet {
        let isInverted = take("^")
        // Python takes a bracket that comes first as a member.
        guard next != UInt8(ascii: "]") || dialect == .python else {
            throw NamePatternError("has an empty class")
        }
        var result = ByteSet()
        let start = position
        while position == start || !take("]") {
            result.formUnion(try classMember(isFirst: position == start))
        }
        return isInverted ? result.inverted : result
    }

    /// A member of a class: a character, a range or an escape.
    private mutating func classMember(isFirst: Bool) throws(NamePatternError) -> ByteSet {
        guard let byte = next else { throw NamePatternError("does not close a class") }
        if byte == UInt8(ascii: "\\") {
            let result = try escape()
            guard !isRange else {
                throw NamePatternError(
                    "has a range that begins with a backslash, at character \(position + 1)")
            }
            return result
        }
        position += 1
        if byte == UInt8(ascii: "["), let next, ":.=".utf8.contains(next) {
            throw NamePatternError(
                "has a named class, which resect does not support, at character \(position)")
        }
        guard byte != UInt8(ascii: "-") || isFirst || next == UInt8(ascii: "]") else {
            throw NamePatternError("has '-' that is neither between two characters nor at an end of a class")
        }
        return isRange ? try range(from: byte) : dialect.letter(byte)
    }

    /// Whether the next character is a `-` that does not end the class.
    private var isRange: Bool {
        next == UInt8(ascii: "-") && position + 1 < bytes.count
            && bytes[position + 1] != UInt8(ascii: "]")
    }

    private mutating func range(from first: UInt8) throws(NamePatternError) -> ByteSet {
        let last = bytes[position + 1]
        guard !"\\[".utf8.contains(last), dialect.folded(first) <= dialect.folded(last) else {
            throw NamePatternError(
                "has a range whose end is not after its start, at character \(position + 1)")
        }
        position += 2
        return ByteSet(dialect.folded(first)...dialect.folded(last))
    }
}
