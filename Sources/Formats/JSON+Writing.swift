extension JSON {
    /// The text on one line without spaces, as in a safetensors header.
    public var compact: String { JSONWriter(self).text }

    /// The text as Python's `json.dump(indent=2)` lays it out, with a final newline.
    public var pretty: String { JSONWriter(self, indents: true).text + "\n" }

    /// The UTF-8 bytes of one line for any reader and any terminal: numbers that are not finite are strings, and every
    /// control character is escaped, also where JSON allows it.
    package var standardLine: [UInt8] {
        var writer = JSONWriter(isStandard: true)
        writer.write(self, depth: 0)
        return writer.bytes
    }
}

/// Writes a JSON value as UTF-8. Bytes are appended, not characters: the output of `inspect --json` may have 100,000
/// objects, and they are written member by member, without values between.
package struct JSONWriter {
    /// What was written so far.
    package private(set) var bytes: [UInt8] = []
    private let indents: Bool
    private let isStandard: Bool

    /// Writes pieces of a `standardLine`.
    package init() { self.init(isStandard: true) }

    fileprivate init(isStandard: Bool) { (indents, self.isStandard) = (false, isStandard) }

    fileprivate init(_ value: JSON, indents: Bool = false) {
        (self.indents, isStandard) = (indents, false)
        write(value, depth: 0)
    }

    /// Adds text that is JSON already.
    package mutating func add(json text: StaticString) {
        bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// Adds a whole number.
    package mutating func add(_ number: Int) { add("\(number)") }

    /// Removes the last bytes, to continue a list or an object after its end was written.
    package mutating func removeLast(_ count: Int) { bytes.removeLast(count) }

    /// Forgets the bytes, after they were sent, and keeps their memory.
    package mutating func removeAll() { bytes.removeAll(keepingCapacity: true) }

    fileprivate var text: String { String(decoding: bytes, as: UTF8.self) }

    /// Adds a value.
    package mutating func add(_ value: JSON) { write(value, depth: 0) }

    fileprivate mutating func write(_ value: JSON, depth: Int) {
        switch value {
        case .null: add("null")
        case .bool(let value): add(value ? "true" : "false")
        case .number(let text):
            // Only Infinity and NaN have these letters.
            if isStandard, text.utf8.contains(where: { $0 == 0x49 || $0 == 0x4E }) { write(text) } else { add(text) }
        case .string(let text): write(text)
        case .array(let elements):
            bytes.append(UInt8(ascii: "["))
            for (index, element) in elements.enumerated() {
                begin(index, depth + 1)
                write(element, depth: depth + 1)
            }
            end(UInt8(ascii: "]"), isEmpty: elements.isEmpty, depth)
        case .object(let object):
            bytes.append(UInt8(ascii: "{"))
            for (index, (key, value)) in object.members.enumerated() {
                begin(index, depth + 1)
                write(key)
                bytes.append(UInt8(ascii: ":"))
                if indents { bytes.append(UInt8(ascii: " ")) }
                write(value, depth: depth + 1)
            }
            end(UInt8(ascii: "}"), isEmpty: object.count == 0, depth)
        }
    }

    /// Writes what stands before an element.
    private mutating func begin(_ index: Int, _ depth: Int) {
        if index > 0 { bytes.append(UInt8(ascii: ",")) }
        if indents { startLine(depth) }
    }

    private mutating func end(_ closing: UInt8, isEmpty: Bool, _ depth: Int) {
        if indents, !isEmpty { startLine(depth) }
        bytes.append(closing)
    }

    private mutating func startLine(_ depth: Int) {
        bytes.append(UInt8(ascii: "\n"))
        for _ in 0..<2 * depth { bytes.append(UInt8(ascii: " ")) }
    }

    private mutating func add(_ text: String) { bytes.append(contentsOf: text.utf8) }

    /// Adds a string in quotes. Runs of bytes that need no escape are copied whole, and nearly all strings are one.
    package mutating func write(_ text: String) {
        var text = text
        bytes.append(UInt8(ascii: "\""))
        text.withUTF8 { text in
            var isPlain = true
            for byte in text { isPlain = isPlain && JSONWriter.isPlain(byte) }
            if isPlain { return bytes.append(contentsOf: text) }
            var start = 0
            for index in text.indices {
                guard let (escape, length) = escape(text, at: index) else { continue }
                if start < index { bytes.append(contentsOf: text[start..<index]) }
                add(escape)
                start = index + length
            }
            if start < text.count { bytes.append(contentsOf: text[start...]) }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    /// Whether a byte stands for itself in every string.
    private static func isPlain(_ byte: UInt8) -> Bool {
        byte >= 0x20 && byte < 0x7F && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
    }

    /// The escape of the character that begins at an index, and how many bytes it replaces; `nil` where none is needed.
    private func escape(_ text: UnsafeBufferPointer<UInt8>, at index: Int) -> (String, length: Int)? {
        let byte = text[index]
        if JSONWriter.isPlain(byte) { return nil }
        switch byte {
        case UInt8(ascii: "\""): return ("\\\"", 1)
        case UInt8(ascii: "\\"): return ("\\\\", 1)
        case UInt8(ascii: "\n"): return ("\\n", 1)
        case UInt8(ascii: "\r"): return ("\\r", 1)
        case UInt8(ascii: "\t"): return ("\\t", 1)
        case 0x08: return ("\\b", 1)
        case 0x0C: return ("\\f", 1)
        case 0..<0x20: return (JSONWriter.escape(byte), 1)
        case 0x7F where isStandard: return (JSONWriter.escape(byte), 1)
        // U+0080 to U+009F are C2 80 to C2 9F.
        case 0xC2 where isStandard && text[index + 1] < 0xA0: return (JSONWriter.escape(text[index + 1]), 2)
        default: return nil
        }
    }

    private static func escape(_ byte: UInt8) -> String { "\\u00" + (byte < 16 ? "0" : "") + String(byte, radix: 16) }
}
