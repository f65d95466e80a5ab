#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// Reading without a tree of values: for texts with very many members, of which a few kinds are wanted.
extension JSONScanner {
    /// Whether that byte comes next.
    package func isNext(_ byte: UInt8) -> Bool { position < bytes.count && bytes[position] == byte }

    /// Reads a text if it is here, byte for byte.
    package mutating func take(_ text: StaticString) -> Bool {
        let count = text.utf8CodeUnitCount
        guard count <= bytes.count - position, let base = bytes.baseAddress,
            memcmp(base + position, text.utf8Start, count) == 0
        else { return false }
        position += count
        return true
    }

    /// Reads the rest of an ASCII string without escapes; `nil`, without reading, for any other.
    package mutating func restOfString() -> String? {
        var end = position
        while end < bytes.count, bytes[end] != UInt8(ascii: "\"") {
            guard 0x20..<0x80 ~= bytes[end], bytes[end] != UInt8(ascii: "\\") else { return nil }
            end += 1
        }
        guard end < bytes.count else { return nil }
        defer { position = end + 1 }
        return String(ascii: UnsafeRawBufferPointer(rebasing: bytes[position..<end]))
    }

    /// Returns to an earlier position.
    package mutating func back(to index: Int) { position = min(index, position) }

    /// Calls `body` at the value of every member of an object; it must read the value.
    package mutating func members(
        _ body: (String, inout JSONScanner) throws(JSONError) -> Void
    ) throws(JSONError) {
        guard take(UInt8(ascii: "{")) else { throw error("'{' is missing") }
        skipSpace()
        if take(UInt8(ascii: "}")) { return }
        while true {
            skipSpace()
            guard isNext(UInt8(ascii: "\"")) else { throw error("a key in quotes is missing") }
            let key = try string()
            skipSpace()
            guard take(UInt8(ascii: ":")) else { throw error("':' is missing after a key") }
            skipSpace()
            try body(key, &self)
            skipSpace()
            if take(UInt8(ascii: ",")) { continue }
            guard take(UInt8(ascii: "}")) else { throw error("',' or '}' is missing") }
            return
        }
    }

    /// Calls `body` at every element of an array; it must read the element.
    package mutating func elements(_ body: (inout JSONScanner) throws(JSONError) -> Void) throws(JSONError) {
        guard take(UInt8(ascii: "[")) else { throw error("'[' is missing") }
        skipSpace()
        if take(UInt8(ascii: "]")) { return }
        while true {
            skipSpace()
            try body(&self)
            skipSpace()
            if take(UInt8(ascii: ",")) { continue }
            guard take(UInt8(ascii: "]")) else { throw error("',' or ']' is missing") }
            return
        }
    }

    /// Reads `null` if it is here.
    package mutating func takeNull() throws(JSONError) -> Bool {
        guard isNext(UInt8(ascii: "n")) else { return false }
        _ = try literal("null", .null)
        return true
    }

    /// Reads a string; returns `nil` for any other value, which is skipped.
    ///
    /// - Parameter depth: the nesting depth of the value.
    package mutating func stringOrSkip(depth: Int) throws(JSONError) -> String? {
        if isNext(UInt8(ascii: "\"")) { return try string() }
        try skip(depth: depth)
        return nil
    }

    /// Reads an array of non-negative integers; any other value is skipped.
    ///
    /// - Parameter numbers: replaced by the numbers of the array.
    /// - Returns: whether the value is such an array.
    package mutating func wholeNumbersOrSkip(depth: Int, into numbers: inout [Int]) throws(JSONError) -> Bool {
        numbers.removeAll(keepingCapacity: true)
        guard isNext(UInt8(ascii: "[")) else {
            try skip(depth: depth)
            return false
        }
        position += 1
        skipSpace()
        if take(UInt8(ascii: "]")) { return true }
        var areWhole = true
        while true {
            skipSpace()
            if let number = wholeNumber() {
                numbers.append(number)
            } else {
                areWhole = false
                try skip(depth: depth + 1)
            }
            skipSpace()
            if take(UInt8(ascii: ",")) { continue }
            guard take(UInt8(ascii: "]")) else { throw error("',' or ']' is missing") }
            return areWhole
        }
    }

    /// Reads an integer of digits only that fits; `nil`, without reading, for anything else.
    package mutating func wholeNumber() -> Int? {
        var end = position
        var value = 0
        while end < bytes.count, bytes[end] &- 0x30 < 10 {
            let (tens, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = tens.addingReportingOverflow(Int(bytes[end] &- 0x30))
            if overflow || carry { return nil }
            value = sum
            end += 1
        }
        guard end < bytes.count else { return nil }
        let hasLeadingZero = end - position > 1 && bytes[position] == 0x30
        guard end > position, !hasLeadingZero else { return nil }
        if continuesNumber(bytes[end]) { return nil }
        position = end
        return value
    }

    /// Whether a byte after digits shows that the number is not an integer: '.', 'E' or 'e'.
    private func continuesNumber(_ byte: UInt8) -> Bool { byte == 0x2E || byte | 0x20 == 0x65 }

    /// Skips a value and checks its grammar.
    ///
    /// - Parameter depth: the nesting depth of the value, which must stay below `JSON.maximumDepth`.
    package mutating func skip(depth: Int) throws(JSONError) {
        guard !atEnd else { throw error("the text ends where a value should be") }
        switch bytes[position] {
        case UInt8(ascii: "{"), UInt8(ascii: "["):
            guard depth + 1 < JSON.maximumDepth else {
                throw error("nested deeper than \(JSON.maximumDepth - 1) levels")
            }
            if bytes[position] == UInt8(ascii: "{") {
                try members { (_, scanner) throws(JSONError) in try scanner.skip(depth: depth + 1) }
            } else {
                try elements { (scanner) throws(JSONError) in try scanner.skip(depth: depth + 1) }
            }
        case UInt8(ascii: "\""): _ = try string()
        case UInt8(ascii: "t"): _ = try literal("true", .null)
        case UInt8(ascii: "f"): _ = try literal("false", .null)
        case UInt8(ascii: "n"): _ = try literal("null", .null)
        default:
            let start = position
            let text = String(decoding: try numberText(), as: UTF8.self)
            guard let value = Double(text), value.isFinite else { throw error("a number is out of range", at: start) }
        }
    }
}
