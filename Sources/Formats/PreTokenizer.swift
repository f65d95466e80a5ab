/// How a byte-level BPE tokenizer cuts text into words: the data of `formats/tokenizers/NAME.json`.
///
/// A file holds one way to cut, and the names that GGUF has for it: one entry of `all` for each name whose vocabularies
/// runtimes read in their own way.
public struct PreTokenizer: Sendable {
    /// The name in GGUF's `tokenizer.ggml.pre`.
    public let name: String
    /// The name of the file.
    public let file: String
    /// Other names in GGUF that cut in the same way.
    public let aliases: [String]
    /// The values of `general.architecture` whose files have this name.
    public let architectures: [String]
    /// The regular expression.
    public let pattern: WordPattern
    /// Whether a GGUF vocabulary of this kind looks up whole words before merging.
    public let ignoresMerges: Bool
    /// Whether a GGUF vocabulary of this kind adds a beginning token by default.
    public let addsBeginning: Bool
    /// `normalizer` of tokenizer.json: null, or NFC.
    public let normalizer: JSON
    /// `pre_tokenizer` of tokenizer.json.
    public let definition: JSON

    /// Every known pre-tokenizer, in registry order.
    public static let all: [PreTokenizer] = EmbeddedFiles.parsed(under: "tokenizers/").flatMap { file in
        ([file.value] + (file.value["variants"]?.array ?? [])).map { names in
            guard let found = PreTokenizer(file.value, names) else {
                fatalError("formats/\(file.name): a member is missing or of the wrong kind")
            }
            return found
        }
    }

    private init?(_ value: JSON, _ names: JSON) {
        guard let file = value["name"]?.string, let name = names["name"]?.string,
            let definition = value["pre_tokenizer"], let pattern = WordPattern(value["pattern"])
        else { return nil }
        self.file = file
        self.name = name
        self.definition = definition
        self.pattern = pattern
        aliases = (names["aliases"]?.array ?? []).compactMap(\.string)
        architectures = (names["architectures"]?.array ?? []).compactMap(\.string)
        ignoresMerges = names["ignores_merges"] == .bool(true)
        addsBeginning = names["adds_beginning"] == .bool(true)
        normalizer = value["normalizer"] ?? .null
    }

    /// The pre-tokenizer of a `tokenizer.ggml.pre`.
    public static func named(_ name: String) -> PreTokenizer? {
        all.first { $0.name == name || $0.aliases.contains(name) }
    }

    /// The pre-tokenizer with the steps of a tokenizer.json; `nil` when none has them. The normalizer chooses among those
    /// that cut in the same way.
    public static func matching(definition: JSON?, normalizer: JSON?) -> PreTokenizer? {
        let wanted = steps(definition)
        let found = all.filter { steps($0.definition) == wanted }
        return found.first { steps($0.normalizer) == steps(normalizer) } ?? found.first
    }

    /// The pre-tokenizer that names this one in a GGUF file. Among those that cut text in the same way it is the one
    /// for the architecture, else the one under which runtimes treat merges as the tokenizer does.
    public func named(for architecture: String?, ignoresMerges: Bool) -> PreTokenizer {
        let own = PreTokenizer.steps(definition)
        let same = PreTokenizer.all.filter { PreTokenizer.steps($0.definition) == own }
        if let architecture, let found = same.first(where: { $0.architectures.contains(architecture) }) { return found }
        if ignoresMerges == self.ignoresMerges { return self }
        return same.first { $0.file == file && $0.ignoresMerges == ignoresMerges } ?? self
    }

    /// Why no pre-tokenizer matches a tokenizer.json, in words.
    public static func obstacle(definition: JSON?) -> String {
        if steps(definition).contains(where: { $0.hasPrefix("ByteLevel true") }) {
            return "puts a space before every text (add_prefix_space), which resect does not do"
        }
        let cutters = types(definition)
        return "cuts words in a way that resect does not know"
            + (cutters.isEmpty ? " (it has no pre_tokenizer)" : " (pre_tokenizer \(cutters.joined(separator: ", ")))")
    }

    /// The types of a definition's steps.
    package static func types(_ definition: JSON?) -> [String] {
        guard let definition, let type = definition["type"]?.string else { return [] }
        return type == "Sequence" ? (definition["pretokenizers"]?.array ?? []).flatMap(types) : [type]
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
            // The expressions match all of a text, so removing what lies between the matches makes no difference.
            let isolates = behavior == "Isolated" || behavior == "Removed" && flag("invert", false)
            return ["Split \(regex) \(isolates ? "Isolated" : "\(behavior) \(flag("invert", false))")"]
        default: return [definition.compact]
        }
    }
}

/// The regular expression of a pre-tokenizer, as the parts in which the known ones differ.
public struct WordPattern: Sendable, Equatable {
    /// The families of regular expressions that are written out by hand.
    public enum Family: String, Sendable {
        /// Contractions, words, numbers and signs with the space before them.
        case gpt2 = "gpt-2"
        /// The same with short numbers, and with line breaks as separate words.
        case cl100k
        /// The same, and a word ends where a capital letter follows a small one.
        case cased
    }

    /// The family.
    public let family: Family
    /// The most digits in one word, where the family has a limit.
    public let digits: Int
    /// Whether every digit is cut out before the pattern is applied.
    public let isolatesNumbers: Bool
    /// Whether marks belong to words as letters do.
    public let marks: Bool
    /// Whether slashes may follow signs, as line breaks may.
    public let slashes: Bool
    /// Whether English contractions are parts of their own or, in the cased family, end a word.
    public let contractions: Bool

    init?(_ value: JSON?) {
        guard let value, let family = value["family"]?.string.flatMap(Family.init) else { return nil }
        self.family = family
        digits = value["digits"]?.int ?? Int.max
        isolatesNumbers = value["isolates_numbers"] == .bool(true)
        marks = value["marks"] == .bool(true)
        slashes = value["slashes"] == .bool(true)
        contractions = value["contractions"] != .bool(false)
    }
}
