extension JSON {
    /// How deep arrays and objects may nest: real files need less than ten, and the stack is finite.
    public static let maximumDepth = 128

    /// Parses a whole JSON text.
    ///
    /// Stricter than most readers: UTF-8 is checked, duplicate keys and trailing text are errors.
    ///
    /// - Parameters:
    ///   - bytes: the text in UTF-8.
    ///   - allowsNonFinite: whether `Infinity`, `-Infinity` and `NaN` are allowed, as in Python.
    /// - Throws: `JSONError` with the byte offset.
    public static func parse(
        _ bytes: UnsafeRawBufferPointer, allowsNonFinite: Bool = false
    ) throws(JSONError) -> JSON {
        var scanner = JSONScanner(bytes: bytes)
        scanner.allowsNonFinite = allowsNonFinite
        if let problem = scanner.foreignEncoding { throw scanner.error(problem) }
        scanner.skipSpace()
        let value = try scanner.value(depth: 0)
        scanner.skipSpace()
        guard scanner.atEnd else { throw scanner.unexpected("text after the end of the value") }
        return value
    }

    /// Parses a whole JSON text held in a string.
    public static func parse(_ text: String, allowsNonFinite: Bool = false) throws(JSONError) -> JSON {
        var text = text
        let result: Result<JSON, JSONError> = text.withUTF8 { buffer in
            do throws(JSONError) {
                return .success(try parse(UnsafeRawBufferPointer(buffer), allowsNonFinite: allowsNonFinite))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }
}

/// A recursive-descent scanner over bytes; every read is preceded by a check of the end.
package struct JSONScanner {
    let bytes: UnsafeRawBufferPointer
    /// The next byte to look at.
    package internal(set) var position = 0

    /// Whether `Infinity`, `-Infinity` and `NaN` are allowed.
    var allowsNonFinite = false

    /// A scanner at the start of a text, which the caller keeps alive.
    package init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// Whether the end is reached.
    package var atEnd: Bool { position >= bytes.count }

    /// An error here, or at an offset.
    package func error(_ problem: String, at offset: Int? = nil) -> JSONError {
        JSONError(problem: problem, byteOffset: offset ?? position)
    }

    /// Skips white space.
    @inline(__always)
    package mutating func skipSpace() {
        while position < bytes.count, bytes[position] <= 0x20 {
            switch bytes[position] {
            case 0x20, 0x0A, 0x0D, 0x09: position += 1
            default: return
            }
        }
    }

    mutating func value(depth: Int) throws(JSONError) -> JSON {
        guard depth <= JSON.maximumDepth else {
            throw error("nested deeper than \(JSON.maximumDepth) levels")
        }
        guard !atEnd else { throw error("the text ends where a value should be") }
        switch bytes[position] {
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "["): return try array(depth: depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try literal("true", .bool(true))
        case UInt8(ascii: "f"): return try literal("false", .bool(false))
        case UInt8(ascii: "n"): return try literal("null", .null)
        default:
            if let value = try nonFinite() { return value }
            return try number()
        }
    }

    mutating func literal(_ word: StaticString, _ value: JSON) throws(JSONError) -> JSON {
        let count = word.utf8CodeUnitCount
        guard bytes.count - position >= count,
            (0..<count).allSatisfy({ bytes[position + $0] == word.utf8Start[$0] })
        else { throw error("not a JSON value") }
        position += count
        return value
    }

    private mutating func object(depth: Int) throws(JSONError) -> JSON {
        var object = JSONObject()
        position += 1
        skipSpace()
        if take(UInt8(ascii: "}")) { return .object(object) }
        while true {
            skipSpace()
            let start = position
            guard !atEnd, bytes[position] == UInt8(ascii: "\"") else {
                throw unexpected("a key in quotes is missing")
            }
            let key = try string()
            skipSpace()
            guard take(UInt8(ascii: ":")) else { throw unexpected("':' is missing after a key") }
            skipSpace()
            let value = try value(depth: depth + 1)
            guard object.append(key, value) else {
                throw error("the key '\(key)' occurs twice in one object", at: start)
            }
            skipSpace()
            if try takeComma(before: UInt8(ascii: "}")) { continue }
            guard take(UInt8(ascii: "}")) else { throw unexpected("',' or '}' is missing") }
            return .object(object)
        }
    }

    private mutating func array(depth: Int) throws(JSONError) -> JSON {
        var elements: [JSON] = []
        position += 1
        skipSpace()
        if take(UInt8(ascii: "]")) { return .array(elements) }
        while true {
            skipSpace()
            elements.append(try value(depth: depth + 1))
            skipSpace()
            if try takeComma(before: UInt8(ascii: "]")) { continue }
            guard take(UInt8(ascii: "]")) else { throw unexpected("',' or ']' is missing") }
            return .array(elements)
        }
    }

    @inline(__always)
    mutating func take(_ byte: UInt8) -> Bool {
        guard position < bytes.count, bytes[position] == byte else { return false }
        position += 1
        return true
    }

    private mutating func digits() -> Int {
        let start = position
        while position < bytes.count, bytes[position] &- 0x30 < 10 { position += 1 }
        return position - start
    }

    private mutating func number() throws(JSONError) -> JSON {
        .number(String(decoding: try numberText(), as: UTF8.self))
    }

    /// The text of a number.
    mutating func numberText() throws(JSONError) -> UnsafeRawBufferPointer {
        let start = position
        _ = take(UInt8(ascii: "-"))
        let leadingZero = position < bytes.count && bytes[position] == UInt8(ascii: "0")
        let whole = digits()
        guard whole > 0, !(leadingZero && whole > 1) else {
            throw unexpected("not a JSON value", at: start)
        }
        if take(UInt8(ascii: ".")), digits() == 0 { throw error("digits are missing after '.'") }
        if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
            if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
            if digits() == 0 { throw error("digits are missing in an exponent") }
        }
        return UnsafeRawBufferPointer(rebasing: bytes[start..<position])
    }

    /// A string, unescaped.
    package mutating func string() throws(JSONError) -> String {
        let start = position
        let first = position + 1
        var end = first
        var seen: UInt8 = 0
        while end < bytes.count {
            let byte = bytes[end]
            if byte == UInt8(ascii: "\"") {
                position = end + 1
                let text = UnsafeRawBufferPointer(rebasing: bytes[first..<end])
                return seen < 0x80 ? String(ascii: text) : try validated(text, at: start)
            }
            if byte == UInt8(ascii: "\\") {
                position = end
                return try escapedString(from: first, start: start)
            }
            guard byte >= 0x20 else { throw error("a string contains a control character", at: end) }
            seen |= byte
            end += 1
        }
        throw error("a string has no end", at: start)
    }

    private func validated(
        _ slice: some Collection<UInt8>, at start: Int
    ) throws(JSONError) -> String {
        guard let text = String(validating: slice, as: UTF8.self) else {
            throw error("a string is not UTF-8", at: start)
        }
        return text
    }

    private mutating func escapedString(from first: Int, start: Int) throws(JSONError) -> String {
        var buffer = [UInt8](bytes[first..<position])
        while position < bytes.count {
            let byte = bytes[position]
            position += 1
            switch byte {
            case UInt8(ascii: "\""): return try validated(buffer, at: start)
            case UInt8(ascii: "\\"): buffer.append(contentsOf: Array(String(try escape()).utf8))
            case 0..<0x20: throw error("a string contains a control character", at: position - 1)
            default: buffer.append(byte)
            }
        }
        throw error("a string has no end", at: start)
    }

    private mutating func escape() throws(JSONError) -> Unicode.Scalar {
        guard !atEnd else { throw error("a string has no end") }
        let byte = bytes[position]
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{C}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"): break
        default: throw error("'\\' is followed by no escape", at: position - 1)
        }
        var code = try hexadecimal()
        if 0xD800..<0xDC00 ~= code, bytes.count - position >= 6,
            bytes[position] == UInt8(ascii: "\\"), bytes[position + 1] == UInt8(ascii: "u")
        {
            position += 2
            let low = try hexadecimal()
            guard 0xDC00..<0xE000 ~= low else { throw error("a surrogate is unpaired") }
            code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
        }
        guard let scalar = Unicode.Scalar(code) else { throw error("a surrogate is unpaired") }
        return scalar
    }

    private mutating func hexadecimal() throws(JSONError) -> UInt32 {
        guard bytes.count - position >= 4 else { throw error("'\\u' needs four digits") }
        var code: UInt32 = 0
        for _ in 0..<4 {
            let byte = bytes[position]
            let digit: UInt8
            switch byte {
            case 0x30...0x39: digit = byte - 0x30
            case 0x41...0x46: digit = byte - 0x41 + 10
            case 0x61...0x66: digit = byte - 0x61 + 10
            default: throw error("'\\u' needs four digits")
            }
            code = code << 4 | UInt32(digit)
            position += 1
        }
        return code
    }
}

extension String {
    /// A text of bytes below 128: most keys and names are, and need no check of their own.
    init(ascii bytes: UnsafeRawBufferPointer) {
        self.init(unsafeUninitializedCapacity: bytes.count) { buffer in
            UnsafeMutableRawBufferPointer(buffer).copyMemory(from: bytes)
            return bytes.count
        }
    }
}
