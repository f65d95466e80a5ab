internal import Checkpoints
internal import Formats

extension ModelCard {
    /// A model card that says what a GGUF file says under `general.*`: `init(text:)` reads the same from it.
    ///
    /// The members are those of the Hugging Face Hub where it has any, else those of llama.cpp's converter.
    ///
    /// - Returns: `nil` where the file says nothing that a card can hold.
    static func contents(of metadata: GGUFMetadata) -> [UInt8]? {
        func text(_ key: String) -> String? { metadata["general." + key]?.string }
        var lines: [String] = []
        if let licence = text("license") {
            lines += entry("license", licence.split(separator: ",").map(String.init))
        }
        for (key, member) in texts { if let text = text(key) { lines.append("\(member): \(quoted(text))") } }
        for (key, member) in [("base_model", "base_model"), ("dataset", "datasets")] {
            lines += origins(of: key, member, metadata)
        }
        for (key, member) in [("languages", "language"), ("tags", "tags")] {
            if case .array(_, let values)? = metadata["general." + key] {
                lines += entry(member, values.compactMap(\.string), isList: true)
            }
        }
        return lines.isEmpty ? nil : Array((["---"] + lines + ["---", ""]).joined(separator: "\n").utf8)
    }

    /// Keys with one text.
    private static let texts = [
        ("license.name", "license_name"), ("license.link", "license_link"), ("name", "model_name"),
        ("author", "model_author"), ("version", "model_version"), ("organization", "model_organization"),
        ("finetune", "model_finetune"), ("basename", "model_basename"), ("description", "model_description"),
        ("source.url", "model_url"), ("source.doi", "model_doi"), ("source.uuid", "model_uuid"),
        ("source.repo_url", "model_repo_url"),
    ]

    /// Models or texts that the model was made from: the names that they have on the hub, else all that is known of each.
    private static func origins(of key: String, _ member: String, _ metadata: GGUFMetadata) -> [String] {
        let count = min(metadata["general.\(key).count"]?.int ?? 0, metadata.pairs.count)
        let origins = (0..<max(0, count)).map { index in
            GeneralMetadata.originKeys.compactMap { part in
                metadata["general.\(key).\(index).\(part)"]?.string.map { (key: part, value: $0) }
            }
        }.filter { !$0.isEmpty }
        let names = origins.compactMap(GeneralMetadata.hubName)
        if names.count == origins.count { return entry(member, names) }
        var lines = ["\(key)_sources:"]
        for origin in origins {
            for (index, part) in origin.enumerated() {
                lines.append("\(index == 0 ? "-" : " ") \(part.key): \(quoted(part.value))")
            }
        }
        return lines
    }

    private static func entry(_ member: String, _ values: [String], isList: Bool = false) -> [String] {
        if values.count == 1, !isList { return ["\(member): \(quoted(values[0]))"] }
        return values.isEmpty ? [] : ["\(member):"] + values.map { "- \(quoted($0))" }
    }

    /// A text of YAML, in quotation marks unless it is one without them, and not a number or one of YAML's words.
    private static func quoted(_ text: String) -> String {
        let isWord = text.utf8.allSatisfy { byte in
            UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte || UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte
                || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte || [0x2D, 0x2E, 0x2F, 0x5F].contains(byte)
        }
        let words = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
        let isPlain = isWord && text.first?.isLetter == true && !words.contains(text.lowercased())
        if isPlain { return text }
        var escaped = String.UnicodeScalarView()
        for scalar in JSON.string(text).compact.unicodeScalars {
            if isPrinted(scalar) { escaped.append(scalar) } else { escaped += escape(scalar).unicodeScalars }
        }
        return String(escaped)
    }

    /// Whether a character may stand as it is: YAML forbids some, readers take others for the end of a line, and a mark that
    /// combines with a quotation mark hides it.
    private static func isPrinted(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.value > 0xFFFF { return true }
        switch scalar.properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator,
            .nonspacingMark, .spacingMark, .enclosingMark:
            return false
        default: return true
        }
    }

    /// `\u200d`, which YAML and JSON read alike.
    private static func escape(_ scalar: Unicode.Scalar) -> String {
        let digits = String(scalar.value, radix: 16)
        return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    }
}
