/// How a byte-level BPE tokenizer cuts text into words: the data of `formats/tokenizers/NAME.json`.
public struct PreTokenizer: Sendable {
    /// The name in GGUF's `tokenizer.ggml.pre`.
    public let name: String
    /// Other names in GGUF that cut in the same way.
    public let aliases: [String]
    /// The family of the regular expression.
    public let pattern: Pattern
    /// The most digits in one word, where the pattern has a limit.
    public let digits: Int
    /// Whether every digit is cut out before the pattern is applied.
    public let isolatesNumbers: Bool
    /// Whether a GGUF vocabulary of this kind looks up whole words before merging.
    public let ignoresMerges: Bool
    /// Whether a GGUF vocabulary of this kind adds a beginning token by default.
    public let addsBeginning: Bool
    /// `normalizer` of tokenizer.json: null, or NFC.
    public let normalizer: JSON
    /// `pre_tokenizer` of tokenizer.json.
    public let definition: JSON

    /// The families of regular expressions that are written out by hand.
    public enum Pattern: String, Sendable {
        /// Contractions, words, numbers and signs with the space before them.
        case gpt2 = "gpt-2"
        /// The same with short numbers, and with line breaks as separate words.
        case cl100k
    }

    /// Whether text is brought into Unicode's composed form first.
    public var composes: Bool { normalizer["type"]?.string == "NFC" }

    /// Every known pre-tokenizer, in registry order.
    public static let all: [PreTokenizer] = EmbeddedFiles.parsed(under: "tokenizers/").map { file in
        guard let found = PreTokenizer(file.value) else {
            preconditionFailure("formats/\(file.name): a member is missing or of the wrong kind")
        }
        return found
    }

    private init?(_ value: JSON) {
        guard let name = value["name"]?.string, let definition = value["pre_tokenizer"],
            let pattern = value["pattern"]?.string.flatMap(Pattern.init)
        else { return nil }
        self.name = name
        self.definition = definition
        self.pattern = pattern
        aliases = (value["aliases"]?.array ?? []).compactMap(\.string)
        digits = value["digits"]?.int ?? Int.max
        isolatesNumbers = value["isolates_numbers"] == .bool(true)
        ignoresMerges = value["ignores_merges"] == .bool(true)
        addsBeginning = value["adds_beginning"] == .bool(true)
        normalizer = value["normalizer"] ?? .null
    }

    /// The pre-tokenizer of a `tokenizer.ggml.pre`.
    public static func named(_ name: String) -> PreTokenizer? {
        all.first { $0.name == name || $0.aliases.contains(name) }
    }

    /// The pre-tokenizer that matches the definition in tokenizer.json; `nil` when none does.
    public static func matching(definition: JSON?, normalizer: JSON?) -> PreTokenizer? {
        let wanted = steps(normalizer) + steps(definition)
        return all.first { steps($0.normalizer) + steps($0.definition) == wanted }
    }

    /// Why no pre-tokenizer matches a tokenizer.json, in words.
    public static func obstacle(definition: JSON?, normalizer: JSON?) -> String {
        let known = all.flatMap { steps($0.normalizer) }
        let names = types(normalizer, "normalizers")
        if let index = steps(normalizer).firstIndex(where: { !known.contains($0) }), index < names.count {
            return "changes the text with the normalizer \(names[index]), which resect does not do"
        }
        if steps(definition).contains(where: { $0.hasPrefix("ByteLevel true") }) {
            return "puts a space before every text (add_prefix_space), which resect does not do"
        }
        let cutters = types(definition, "pretokenizers")
        return "cuts words in a way that resect does not know"
            + (cutters.isEmpty ? " (it has no pre_tokenizer)" : " (pre_tokenizer \(cutters.joined(separator: ", ")))")
    }

    /// The types of a definition's steps.
    private static func types(_ definition: JSON?, _ member: String) -> [String] {
        guard let definition, let type = definition["type"]?.string else { return [] }
        return type == "Sequence" ? (definition[member]?.array ?? []).flatMap { types($0, member) } : [type]
    }

    /// The steps of a definition, without details that have no effect: order of members, offsets, defaults.
    private static func steps(_ definition: JSON?) -> [String] {
        guard let definition, let type = definition["type"]?.string else { return [] }
        func flag(_ key: String, _ standard: Bool) -> Bool { definition[key]?.bool ?? standard }
        switch type {
        case "Sequence":
            let inner = definition["pretokenizers"]?.array ?? definition["normalizers"]?.array ?? []
            return inner.flatMap(steps)
        case "ByteLevel":
            return ["ByteLevel \(flag("add_prefix_space", true)) \(flag("use_regex", true))"]
        case "Digits": return ["Digits \(flag("individual_digits", false))"]
        case "Split":
            let regex = definition["pattern"]?["Regex"]?.string ?? definition["pattern"]?.compact ?? ""
            let behavior = definition["behavior"]?.string ?? ""
            return ["Split \(regex) \(behavior) \(flag("invert", false))"]
        default: return [definition.compact]
        }
    }
}
