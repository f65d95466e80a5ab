extension JSON {
    /// The text on one line without spaces, as in a safetensors header.
    public var compact: String { JSONWriter(self).text }

    /// The text as Python's `json.dump(indent=2)` lays it out, with a final newline.
    public var pretty: String { JSONWriter(self, indents: true).text + "\n" }

    /// The UTF-8 bytes of one line for any reader and any terminal: numbers that are not finite are strings, and every
    /// control character is escaped, also where JSON allows it.
    package var standardLine: [UInt8] {
        var bytes: [UInt8] = []
        writeStandardLine(to: &bytes)
        return bytes
    }

    /// Adds `standardLine` to bytes.
    package func writeStandardLine(to bytes: inout [UInt8]) {
        var writer = JSONWriter(isStandard: true)
        swap(&writer.bytes, &bytes)
        writer.write(self, depth: 0)
        swap(&writer.bytes, &bytes)
    }
}

/// Writes a JSON value as UTF-8. Bytes are appended, not characters: the value of `inspect --json` may have 100,000
/// objects.
private struct JSONWriter {
    var bytes: [UInt8] = []
    private let indents: Bool
    private let isStandard: Bool

    init(isStandard: Bool) { (indents, self.isStandard) = (false, isStandard) }

    init(_ value: JSON, indents: Bool = false) {
        (self.indents, isStandard) = (indents, false)
        write(value, depth: 0)
    }

    var text: String { String(decoding: bytes, as: UTF8.self) }

    mutating func write(_ value: JSON, depth: Int) {
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

    /// Writes a string in quotes: runs of bytes that need no escape are copied whole.
    private mutating func write(_ text: String) {
        var text = text
        bytes.append(UInt8(ascii: "\""))
        text.withUTF8 { text in
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

    /// The escape of the character that begins at an index, and how many bytes it replaces; `nil` where none is needed.
    private func escape(_ text: UnsafeBufferPointer<UInt8>, at index: Int) -> (String, length: Int)? {
        let byte = text[index]
        if byte >= 0x20, byte < 0x7F, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") { return nil }
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
