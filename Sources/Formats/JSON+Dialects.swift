/// Extensions of other JSON readers: non-finite numbers are read where allowed; the rest is refused by name.
extension JSONScanner {
    /// Non-finite numbers as Python's json module reads and writes them.
    private static let nonFiniteWords: [StaticString] = ["Infinity", "-Infinity", "NaN"]

    /// Reads a non-finite number; `nil` when there is none here.
    mutating func nonFinite() throws(JSONError) -> JSON? {
        let start = position
        for word in JSONScanner.nonFiniteWords where take(word) {
            guard allowsNonFinite else { throw error("\(word) is not a JSON number", at: start) }
            return .number("\(word)")
        }
        return nil
    }

    /// Reads a comma between values.
    ///
    /// - Throws: when the end of the array or object comes after it.
    mutating func takeComma(before end: UInt8) throws(JSONError) -> Bool {
        guard take(UInt8(ascii: ",")) else { return false }
        skipSpace()
        if isNext(end) {
            throw error("a comma before '\(Character(Unicode.Scalar(end)))', which JSON does not allow")
        }
        return true
    }

    /// An error here or at an offset; comments are named.
    func unexpected(_ problem: String, at offset: Int? = nil) -> JSONError {
        let index = offset ?? position
        let isComment =
            index + 1 < bytes.count && bytes[index] == UInt8(ascii: "/")
            && (bytes[index + 1] == UInt8(ascii: "/") || bytes[index + 1] == UInt8(ascii: "*"))
        return error(isComment ? "a comment, which JSON does not allow" : problem, at: index)
    }

    /// The encoding that the first bytes show when it is not plain UTF-8; `nil` otherwise.
    var foreignEncoding: String? {
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) {
            return "begins with a byte order mark, which JSON does not allow; save it as UTF-8 without one"
        }
        if bytes.starts(with: [0xFF, 0xFE]) || bytes.starts(with: [0xFE, 0xFF]) {
            return "begins with the byte order mark of UTF-16; save it as UTF-8"
        }
        // The first two characters of JSON are ASCII.
        let hasZero = bytes.prefix(2).contains(0)
        return hasZero ? "is not UTF-8, but perhaps UTF-16 or UTF-32; save it as UTF-8" : nil
    }
}

extension JSON {
    /// The value with `Infinity`, `-Infinity` and `NaN` as strings, so that every reader of JSON accepts it.
    package var standard: JSON {
        switch self {
        case .number(let text): text.utf8.contains { $0 == 0x49 || $0 == 0x4E } ? .string(text) : self
        case .array(let elements): .array(elements.map(\.standard))
        case .object(let object): .object(JSONObject(object.members.map { ($0, $1.standard) }))
        case .null, .bool, .string: self
        }
    }
}
