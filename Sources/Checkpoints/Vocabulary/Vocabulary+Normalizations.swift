internal import Formats

extension Vocabulary {
    /// A change of the text before it is cut into tokens; a normalizer of tokenizer.json.
    public enum Normalization: Sendable, Equatable {
        /// Unicode's composed form.
        case composed
        /// Unicode's decomposed form.
        case decomposed
        /// Unicode's composed form, with characters of the same meaning made equal (NFKC).
        case compatibilityComposed
        /// Unicode's decomposed form, with characters of the same meaning made equal (NFKD).
        case compatibilityDecomposed
        /// Letters become lower case.
        case lowercase
        /// This text is put before every text that is not empty.
        case prepend(String)
        /// Every occurrence of a text is replaced.
        case replace(String, with: String)
        /// Runs of two spaces or more are replaced.
        case replaceRuns(with: String)
        /// Spaces at both ends are removed, and runs of spaces become one.
        case collapseSpaces
        /// White space at the given ends is removed.
        case strip(left: Bool, right: Bool)
        /// SentencePiece's table of replacements, as the tokenizers library applies it (`graphemes`) or SentencePiece itself.
        case charsmap([UInt8], graphemes: Bool)
    }

    /// The character that SentencePiece writes a space with.
    package static let spaceSymbol = "\u{2581}"

    /// The normalizations of a byte-level pre-tokenizer.
    static func normalizations(of preTokenizer: String) -> [Normalization] {
        do throws(CheckpointError) {
            return try normalizations(PreTokenizer.named(preTokenizer)?.normalizer, file: preTokenizer)
        } catch { preconditionFailure("formats/tokenizers: \(error)") }
    }

    /// The normalizations that `normalizer` of tokenizer.json names.
    ///
    /// - Throws: when one is not known.
    static func normalizations(_ value: JSON?, file: String) throws(CheckpointError) -> [Normalization] {
        guard let value, value != .null else { return [] }
        let type = value["type"]?.string ?? "?"
        func refused(_ detail: String = "") -> CheckpointError {
            CheckpointError(
                file: file, "changes the text with the normalizer \(type)\(detail), which resect does not do")
        }
        switch type {
        case "Sequence":
            var result: [Normalization] = []
            for step in value["normalizers"]?.array ?? [] { result += try normalizations(step, file: file) }
            return result
        case "NFC": return [.composed]
        case "NFD": return [.decomposed]
        case "NFKC": return [.compatibilityComposed]
        case "NFKD": return [.compatibilityDecomposed]
        case "Lowercase": return [.lowercase]
        case "Prepend":
            guard let text = value["prepend"]?.string else { throw refused() }
            return text.isEmpty ? [] : [.prepend(text)]
        case "Strip":
            return [.strip(left: value["strip_left"] == .bool(true), right: value["strip_right"] == .bool(true))]
        case "Replace":
            guard let content = value["content"]?.string else { throw refused() }
            if let text = value["pattern"]?["String"]?.string {
                return text.isEmpty ? [] : [.replace(text, with: content)]
            }
            let regex = value["pattern"]?["Regex"]?.string ?? "?"
            guard regex == " {2,}" else { throw refused(" of the regular expression '\(regex)'") }
            return [.replaceRuns(with: content)]
        case "Precompiled":
            guard let text = value["precompiled_charsmap"]?.string, let bytes = Base64.bytes(text) else {
                throw refused(" without a table in base64")
            }
            return bytes.isEmpty ? [] : [.charsmap(bytes, graphemes: true)]
        default: throw refused()
        }
    }

    /// `normalizer` of tokenizer.json.
    var normalizer: JSON {
        let steps = normalizations.flatMap { step -> [Normalization] in
            guard step == .collapseSpaces else { return [step] }
            return [.strip(left: true, right: true), .replaceRuns(with: " ")]
        }.map { step -> JSON in
            func object(_ type: String, _ members: [(String, JSON)] = []) -> JSON {
                .object(JSONObject([("type", .string(type))] + members))
            }
            func replace(_ kind: String, _ pattern: String, _ content: String) -> JSON {
                object(
                    "Replace",
                    [("pattern", .object(JSONObject([(kind, .string(pattern))]))), ("content", .string(content))])
            }
            switch step {
            case .collapseSpaces: return .null
            case .composed: return object("NFC")
            case .decomposed: return object("NFD")
            case .compatibilityComposed: return object("NFKC")
            case .compatibilityDecomposed: return object("NFKD")
            case .lowercase: return object("Lowercase")
            case .prepend(let text): return object("Prepend", [("prepend", .string(text))])
            case .replace(let text, let content): return replace("String", text, content)
            case .replaceRuns(let content): return replace("Regex", " {2,}", content)
            case .strip(let left, let right):
                return object("Strip", [("strip_left", .bool(left)), ("strip_right", .bool(right))])
            case .charsmap(let bytes, _):
                return object("Precompiled", [("precompiled_charsmap", .string(Base64.text(bytes)))])
            }
        }
        if steps.count < 2 { return steps.first ?? .null }
        return .object(JSONObject([("type", .string("Sequence")), ("normalizers", .array(steps))]))
    }
}

/// Base64: bytes as text of 64 characters.
enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    /// The bytes of a text; `nil` when it is not base64.
    static func bytes(_ text: String) -> [UInt8]? {
        var values = Array(repeating: UInt32.max, count: 256)
        for (value, character) in alphabet.enumerated() { values[Int(character)] = UInt32(value) }
        var result: [UInt8] = []
        var bits: UInt32 = 0
        var count = 0
        var padding = 0
        for character in text.utf8 {
            if character == UInt8(ascii: "=") {
                padding += 1
                continue
            }
            let value = values[Int(character)]
            guard value != .max, padding == 0 else { return nil }
            bits = bits << 6 | value
            count += 1
            if count == 4 {
                result += [UInt8(truncatingIfNeeded: bits >> 16), UInt8(truncatingIfNeeded: bits >> 8)]
                result.append(UInt8(truncatingIfNeeded: bits))
                (bits, count) = (0, 0)
            }
        }
        guard count != 1, padding <= 2 else { return nil }
        if count == 2 { result.append(UInt8(truncatingIfNeeded: bits >> 4)) }
        if count == 3 { result += [UInt8(truncatingIfNeeded: bits >> 10), UInt8(truncatingIfNeeded: bits >> 2)] }
        return result
    }

    /// The text of bytes.
    static func text(_ bytes: [UInt8]) -> String {
        var result: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            let bits = group.reduce(UInt32(0)) { $0 << 8 | UInt32($1) } << UInt32(8 * (3 - group.count))
            for index in 0..<4 {
                let value = Int(bits >> UInt32(18 - 6 * index) & 63)
                result.append(index <= group.count ? alphabet[value] : UInt8(ascii: "="))
            }
        }
        return String(decoding: result, as: UTF8.self)
    }
}
