internal import Formats

extension Vocabulary {
    /// The pre-tokenizer of SentencePiece's models: spaces become a symbol that begins the token after them.
    public struct Metaspace: Sendable, Equatable {
        /// Which texts get the symbol in front.
        public enum Prepending: String, Sendable {
            /// Every text, also one that follows an added token.
            case always
            /// The text at the beginning.
            case first
            /// None.
            case never
        }

        /// Which texts get the symbol in front.
        public var prepending: Prepending
        /// Whether every symbol begins another word.
        public var splits: Bool
        /// Whether white space separates words, and is dropped, before the symbol is put in front of each.
        public var dropsWhitespace: Bool

        /// A pre-tokenizer.
        public init(prepending: Prepending, splits: Bool, dropsWhitespace: Bool = false) {
            self.prepending = prepending
            self.splits = splits
            self.dropsWhitespace = dropsWhitespace
        }
    }

    /// Reads the pre-tokenizer of a tokenizer.json whose model is not byte-level.
    ///
    /// - Throws: when it cuts text in a way that resect does not compute.
    static func metaspace(
        _ value: JSON?, after normalizations: [Normalization], file: String
    ) throws(CheckpointError) -> Metaspace? {
        guard let value, value != .null else { return nil }
        let type = value["type"]?.string ?? "?"
        func refused(_ detail: String = "") -> CheckpointError {
            CheckpointError(
                file: file, "cuts words in a way that resect does not know (pre_tokenizer \(type)\(detail))")
        }
        switch type {
        case "Metaspace":
            let symbol = value["replacement"]?.string ?? spaceSymbol
            guard ExactString(symbol) == ExactString(spaceSymbol) else { throw refused(" with '\(symbol)' for spaces") }
            let old: Metaspace.Prepending = value["add_prefix_space"] == .bool(false) ? .never : .always
            let scheme = value["prepend_scheme"]?.string
            guard let prepending = scheme.map(Metaspace.Prepending.init) ?? old else {
                throw refused(" with the prepend_scheme '\(scheme ?? "")'")
            }
            return Metaspace(prepending: prepending, splits: value["split"] != .bool(false))
        case "Sequence":
            let steps = value["pretokenizers"]?.array ?? []
            if steps.count == 1 { return try metaspace(steps[0], after: normalizations, file: file) }
            guard steps.count == 2, steps[0]["type"]?.string == "WhitespaceSplit",
                steps[1]["type"]?.string == "Metaspace",
                var inner = try metaspace(steps[1], after: normalizations, file: file)
            else { throw refused(" of " + steps.map { $0["type"]?.string ?? "?" }.joined(separator: ", ")) }
            inner.dropsWhitespace = true
            return inner
        case "Split":
            // Gemma's pre-tokenizer cuts at spaces, but its normalizer has replaced them all.
            guard value["pattern"]?["String"]?.string == " ",
                normalizations.contains(.replace(" ", with: spaceSymbol))
            else { throw refused() }
            return nil
        default: throw refused()
        }
    }

    /// `pre_tokenizer` of tokenizer.json for a model that is not byte-level.
    var metaspaceMember: JSON {
        guard let metaspace else { return .null }
        let member = JSON.object(
            JSONObject([
                ("type", .string("Metaspace")), ("replacement", .string(Vocabulary.spaceSymbol)),
                ("prepend_scheme", .string(metaspace.prepending.rawValue)), ("split", .bool(metaspace.splits)),
            ]))
        guard metaspace.dropsWhitespace else { return member }
        let spaces = JSON.object(JSONObject([("type", .string("WhitespaceSplit"))]))
        return .object(JSONObject([("type", .string("Sequence")), ("pretokenizers", .array([spaces, member]))]))
    }

    /// Whether a text gets a space in front that is not its own.
    package var putsSpaceInFront: Bool {
        if let metaspace { return metaspace.prepending != .never }
        return normalizations.contains(.prepend(Vocabulary.spaceSymbol)) || normalizations.contains(.prepend(" "))
    }
}
