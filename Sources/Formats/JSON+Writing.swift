extension JSON {
    /// The text on one line without spaces, as in a safetensors header.
    public var compact: String {
        var text = ""
        write(to: &text, indent: nil, separators: (",", ":"))
        return text
    }

    /// The text as Python's `json.dump(indent=2)` lays it out, with a final newline.
    public var pretty: String {
        var text = ""
        write(to: &text, indent: 0, separators: (",", ": "))
        return text + "\n"
    }

    private func write(to text: inout String, indent: Int?, separators: (String, String)) {
        switch self {
        case .null: text += "null"
        case .bool(let value): text += value ? "true" : "false"
        case .number(let number): text += number
        case .string(let string): JSON.write(string, to: &text)
        case .array(let elements):
            JSON.list("[", "]", elements, to: &text, indent: indent, separators) {
                $0.write(to: &$1, indent: $2, separators: separators)
            }
        case .object(let object):
            JSON.list("{", "}", Array(object.members), to: &text, indent: indent, separators) {
                JSON.write($0.0, to: &$1)
                $1 += separators.1
                $0.1.write(to: &$1, indent: $2, separators: separators)
            }
        }
    }

    private static func list<Element>(
        _ open: String, _ close: String, _ elements: [Element], to text: inout String,
        indent: Int?, _ separators: (String, String),
        write: (Element, inout String, Int?) -> Void
    ) {
        text += open
        let inner = indent.map { $0 + 2 }
        for (index, element) in elements.enumerated() {
            if index > 0 { text += separators.0 }
            if let inner { text += "\n" + String(repeating: " ", count: inner) }
            write(element, &text, inner)
        }
        if let indent, !elements.isEmpty {
            text += "\n" + String(repeating: " ", count: indent)
        }
        text += close
    }

    private static func write(_ string: String, to text: inout String) {
        text += "\""
        for scalar in string.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            case "\u{8}": text += "\\b"
            case "\u{C}": text += "\\f"
            case "\u{0}"..<"\u{20}":
                let digits = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: text.unicodeScalars.append(scalar)
            }
        }
        text += "\""
    }
}
