internal import Checkpoints
internal import Formats

/// The front matter of a model card, README.md: what stands between two lines `---`.
///
/// It is YAML, of which this reads text, lists of texts and objects of texts in a list. Other values are ignored.
struct ModelCard {
    /// A value of the front matter.
    enum Value: Equatable {
        case text(String)
        case list([Value])
        case object([(key: String, value: String)])

        static func == (a: Value, b: Value) -> Bool {
            switch (a, b) {
            case (.text(let a), .text(let b)): a == b
            case (.list(let a), .list(let b)): a == b
            case (.object(let a), .object(let b)): a.elementsEqual(b) { $0 == $1 }
            default: false
            }
        }
    }

    private var members: [String: Value] = [:]

    /// Reads the card of a folder; empty without one.
    init(_ checkpoint: Checkpoint) {
        self.init(text: String(decoding: checkpoint.companion("README.md")?.contents ?? [], as: UTF8.self))
    }

    /// Reads the text of a card.
    init(text: String) {
        let lines = text.split(omittingEmptySubsequences: false) { $0.isNewline }
        guard lines.first == "---" else { return }
        var entries: [(key: String, inline: Substring, block: [Substring])] = []
        for line in lines.dropFirst() {
            if line == "---" { break }
            if let first = line.first, first != " ", first != "\t", first != "-", first != "#",
                let (key, rest) = ModelCard.member(line)
            {
                entries.append((key, rest, []))
            } else if !entries.isEmpty {
                entries[entries.count - 1].block.append(line)
            }
        }
        for entry in entries {
            members[entry.key] = ModelCard.value(entry.inline, entry.block)
        }
    }

    /// The value of a member.
    subscript(key: String) -> Value? { members[key] }

    /// A text, also of a number.
    func text(_ key: String) -> String? {
        if case .text(let text) = members[key] { text } else { nil }
    }

    /// A text or the texts of a list; `nil` without the member.
    func texts(_ key: String) -> [String]? {
        switch members[key] {
        case .text(let text): [text]
        case .list(let values): values.compactMap { if case .text(let text) = $0 { text } else { nil } }
        case .object, nil: nil
        }
    }

    // MARK: YAML

    /// `key: rest` of a line.
    private static func member(_ line: Substring) -> (key: String, rest: Substring)? {
        guard let colon = line.firstIndex(of: ":") else { return nil }
        let rest = line[line.index(after: colon)...]
        guard rest.isEmpty || rest.first == " " || rest.first == "\t" else { return nil }
        return (unquoted(trimmed(line[..<colon])), trimmed(rest))
    }

    private static func value(_ inline: Substring, _ block: [Substring]) -> Value? {
        let inline = withoutComment(inline)
        if inline.first == "|" || inline.first == ">" { return folded(inline, block) }
        if inline.first == "[" {
            guard inline.last == "]" else { return nil }
            let items = inline.dropFirst().dropLast().split(separator: ",")
            return .list(items.map { .text(unquoted(trimmed($0))) })
        }
        let lines = block.filter { !trimmed($0).isEmpty && trimmed($0).first != "#" }
        if !inline.isEmpty {
            if ["null", "~"].contains(inline) || inline.first == "{" { return nil }
            // A text may go on in lines that are indented.
            return .text(unquoted(([inline] + lines.map(trimmed)).joined(separator: " ")[...]))
        }
        return list(lines)
    }

    /// A block of lines that begin with `- `, each a text or the first member of an object.
    private static func list(_ lines: [Substring]) -> Value? {
        guard let first = lines.first, trimmed(first).hasPrefix("-") else { return nil }
        let depth = indentation(first)
        var items: [Value] = []
        for line in lines {
            let text = trimmed(line)
            if indentation(line) == depth, text.hasPrefix("-") {
                let item = withoutComment(trimmed(text.dropFirst()))
                if !isQuoted(item), let (key, rest) = member(item) {
                    items.append(.object([(key, unquoted(rest))]))
                } else {
                    items.append(.text(unquoted(item)))
                }
            } else if case .object(var members)? = items.last, let (key, rest) = member(text) {
                members.append((key, unquoted(withoutComment(rest))))
                items[items.count - 1] = .object(members)
            } else {
                return nil
            }
        }
        return .list(items)
    }

    /// A block text: `|` keeps its lines, `>` joins them.
    private static func folded(_ mark: Substring, _ block: [Substring]) -> Value {
        var lines = block[...]
        while lines.last.map({ trimmed($0).isEmpty }) ?? false { lines.removeLast() }
        let depth = lines.lazy.filter { !trimmed($0).isEmpty }.map(indentation).min() ?? 0
        let text = lines.map { $0.dropFirst(depth) }.joined(separator: mark.first == "|" ? "\n" : " ")
        return .text(mark.contains("-") ? text : text + "\n")
    }

    private static func indentation(_ line: Substring) -> Int { line.prefix { $0 == " " }.count }

    private static func isQuoted(_ text: Substring) -> Bool { text.first == "\"" || text.first == "'" }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text.drop { $0 == " " || $0 == "\t" }
        while text.last == " " || text.last == "\t" { text.removeLast() }
        return text
    }

    private static func withoutComment(_ text: Substring) -> Substring {
        if isQuoted(text) { return closingMark(of: text).map { text[...$0] } ?? text }
        if text.first == "#" { return "" }
        guard let range = text.firstRange(of: " #") else { return text }
        return trimmed(text[..<range.lowerBound])
    }

    /// Where a quoted text ends; `nil` when it does not.
    private static func closingMark(of text: Substring) -> Substring.Index? {
        let mark = text.first
        var index = text.index(after: text.startIndex)
        while index < text.endIndex {
            let next = text.index(after: index)
            let isDoubled = mark == "'" && next < text.endIndex && text[next] == mark
            if text[index] == mark, !isDoubled { return index }
            // An escape, or two marks that stand for one.
            let skipsNext = text[index] == mark || (mark == "\"" && text[index] == "\\")
            index = skipsNext && next < text.endIndex ? text.index(after: next) : next
        }
        return nil
    }

    /// A text without its quotation marks.
    private static func unquoted(_ text: Substring) -> String {
        guard text.count > 1, let mark = text.first, mark == text.last, isQuoted(text) else { return String(text) }
        let inner = text.dropFirst().dropLast()
        if mark == "'" { return String(inner.replacing("''", with: "'")) }
        // Double quotation marks allow the escapes of JSON.
        return (try? JSON.parse(String(text)))?.string ?? String(inner)
    }
}
