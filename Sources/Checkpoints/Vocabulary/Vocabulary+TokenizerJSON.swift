internal import Formats

extension Vocabulary {
    /// Reads the parsed tokenizer.json of an HF folder. `truncation` and `padding` are left alone: transformers
    /// switches both off for a text that it tokenizes whole.
    ///
    /// - Throws: when it does something that resect does not compute, or contradicts itself.
    init(tokenizer: JSONObject, file: String) throws(CheckpointError) {
        let model = tokenizer["model"]
        let kind = model?["type"]?.string ?? (model?["merges"] == nil ? "?" : "BPE")
        switch kind {
        case "BPE": try self.init(pairs: tokenizer, file: file)
        case "Unigram": try self.init(unigram: tokenizer, file: file)
        default:
            throw CheckpointError(
                file: file, "is a tokenizer of the kind '\(kind)'", hint: "BPE and Unigram are read")
        }
    }

    /// Reads byte-pair encoding, byte-level or SentencePiece's.
    private init(pairs tokenizer: JSONObject, file: String) throws(CheckpointError) {
        func wrong(_ problem: String, hint: String? = nil) -> CheckpointError {
            CheckpointError(file: file, problem, hint: hint)
        }
        let model = tokenizer["model"]
        guard let vocabulary = model?["vocab"]?.object else { throw wrong("has no vocabulary") }
        var texts = TokenTexts(count: vocabulary.count, file: file)
        for (token, id) in vocabulary.members {
            guard let id = id.int else { throw wrong("the token '\(token)' has no whole number") }
            try texts.put(token, id)
        }
        let definition = tokenizer["pre_tokenizer"]
        let normalizations = try Vocabulary.normalizations(tokenizer["normalizer"], file: file)
        let known = PreTokenizer.matching(definition: definition, normalizer: tokenizer["normalizer"])
        let isByteLevel = Vocabulary.isByteLevel(definition, normalizations, model)
        if isByteLevel, known == nil {
            throw wrong(
                PreTokenizer.obstacle(definition: definition),
                hint: "known pre-tokenizers: " + PreTokenizer.all.map(\.name).joined(separator: " "))
        }
        self.init(
            model: isByteLevel ? .byteLevelBPE : .sentencePieceBPE,
            preTokenizer: isByteLevel ? known?.name ?? "" : "default", tokens: [], kinds: [],
            merges: try Vocabulary.merges(model?["merges"]?.array ?? [], wrong),
            ignoresMerges: model?["ignore_merges"] == .bool(true))
        self.normalizations = normalizations
        if !isByteLevel { metaspace = try Vocabulary.metaspace(definition, after: normalizations, file: file) }
        fallsBackToBytes = !isByteLevel && model?["byte_fallback"] == .bool(true)
        fusesUnknown = !isByteLevel && model?["fuse_unk"] == .bool(true)
        try readAddedTokens(tokenizer["added_tokens"]?.array ?? [], vocabulary, &texts, file: file)
        readTexts(texts.texts, unknown: model?["unk_token"]?.string)
        try checkModel(model, vocabulary, file: file)
    }

    /// Reads a unigram model, a list of tokens with scores.
    private init(unigram tokenizer: JSONObject, file: String) throws(CheckpointError) {
        let model = tokenizer["model"]
        guard let list = model?["vocab"]?.array, !list.isEmpty else {
            throw CheckpointError(file: file, "has no vocabulary")
        }
        var texts = TokenTexts(count: list.count, file: file)
        var vocabulary = JSONObject()
        var scores: [Float] = []
        for (id, entry) in list.enumerated() {
            guard let pair = entry.array, pair.count == 2, let token = pair[0].string, let score = pair[1].double else {
                throw CheckpointError(file: file, "token \(id.grouped) is not a text with a score")
            }
            guard vocabulary.append(token, .int(id)) else {
                throw CheckpointError(file: file, "has the token '\(token)' twice")
            }
            try texts.put(token, id)
            scores.append(Float(score))
        }
        let normalizations = try Vocabulary.normalizations(tokenizer["normalizer"], file: file)
        self.init(model: .unigram, preTokenizer: "default", tokens: [], kinds: [], merges: [])
        self.normalizations = normalizations
        metaspace = try Vocabulary.metaspace(tokenizer["pre_tokenizer"], after: normalizations, file: file)
        fallsBackToBytes = model?["byte_fallback"] == .bool(true)
        fusesUnknown = true
        try readAddedTokens(tokenizer["added_tokens"]?.array ?? [], vocabulary, &texts, file: file)
        let unknown = model?["unk_id"]?.int
        if let unknown, !list.indices.contains(unknown) {
            throw CheckpointError(file: file, "the unknown token \(unknown.grouped) is not among \(list.count.grouped)")
        }
        readTexts(texts.texts, unknown: unknown.flatMap { list[$0].array?.first?.string })
        // Added tokens beyond the list have no score.
        self.scores = scores
    }

    /// Whether tokens are written in the byte-level alphabet. Other vocabularies have byte tokens or SentencePiece's
    /// symbol.
    private static func isByteLevel(
        _ definition: JSON?, _ normalizations: [Normalization], _ model: JSON?
    ) -> Bool {
        let types = PreTokenizer.types(definition)
        if types.contains("ByteLevel") { return true }
        if types.contains("Metaspace") || model?["byte_fallback"] == .bool(true) { return false }
        return !normalizations.contains(.replace(" ", with: spaceSymbol))
    }

    /// The tokens in order, with their kinds.
    private mutating func readTexts(_ texts: [String?], unknown: String?) {
        var addedByID: [Int: AddedToken] = [:]
        for token in addedTokens { addedByID[token.id] = token }
        let unknown = unknown.map(ExactString.init)
        for (id, text) in texts.enumerated() {
            tokens.append(text ?? Vocabulary.placeholder(id))
            var kind = Vocabulary.kind(text, addedByID[id])
            if model != .byteLevelBPE, let text {
                if fallsBackToBytes, Vocabulary.byte(of: text) != nil { kind = .byte }
                if ExactString(text) == unknown { kind = .unknown }
            }
            kinds.append(kind)
        }
    }

    /// The byte of a token `<0x0A>`.
    package static func byte(of token: String) -> UInt8? {
        let text = Array(token.utf8)
        guard text.count == 6, text.starts(with: Array("<0x".utf8)), text[5] == UInt8(ascii: ">") else { return nil }
        // `UInt8` would take a sign too.
        guard text[3...4].allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }) else { return nil }
        return UInt8(String(decoding: text[3...4], as: UTF8.self), radix: 16)
    }

    /// The texts of the tokens by number, while a file is read.
    private struct TokenTexts {
        private(set) var texts: [String?] = []
        let count: Int
        let file: String

        /// Ids may have gaps, but only in proportion to the length of the file.
        mutating func put(_ token: String, _ id: Int) throws(CheckpointError) {
            if id >= texts.count, id < 2 * count + 65536 {
                texts += Array(repeating: nil, count: id + 1 - texts.count)
            }
            guard texts.indices.contains(id) else {
                throw CheckpointError(
                    file: file, "the token '\(token)' has the number \(id.grouped) among \(count.grouped) tokens")
            }
            if let other = texts[id], ExactString(other) != ExactString(token) {
                throw CheckpointError(
                    file: file, "the tokens '\(other)' and '\(token)' have the same number \(id.grouped)")
            }
            texts[id] = token
        }
    }

    /// Added tokens get the ids that the tokenizers library assigns: the id in the vocabulary, else the next free one.
    /// It ignores the ids in the file.
    private mutating func readAddedTokens(
        _ list: [JSON], _ vocabulary: JSONObject, _ texts: inout TokenTexts, file: String
    ) throws(CheckpointError) {
        var known: [ExactString: Int] = [:]
        var next = vocabulary.count
        for entry in list {
            guard let stated = entry["id"]?.int, stated >= 0, let content = entry["content"]?.string else {
                throw CheckpointError(file: file, "an added token has no number or no content")
            }
            guard !content.isEmpty else { continue }
            let key = ExactString(content)
            guard known[key] == nil else { continue }
            let id = vocabulary[content]?.int ?? next
            known[key] = id
            if id != stated {
                notes.append(
                    "\(file): the added token '\(content)' has the number \(stated.grouped) there, and "
                        + "\(id.grouped) when the tokenizers library reads it")
            }
            addedTokens.append(AddedToken(id: id, content: content, special: false, flags: entry))
            try texts.put(content, id)
            next = max(next, id + 1)
        }
    }

    /// Refuses members of the model that change tokens in a way that resect does not compute.
    private func checkModel(_ model: JSON?, _ vocabulary: JSONObject, file: String) throws(CheckpointError) {
        func refused(_ what: String) -> CheckpointError {
            CheckpointError(file: file, "the tokenizer \(what), which resect does not compute")
        }
        if let rate = model?["dropout"]?.double, rate > 0 {
            throw refused("leaves out merges at random (dropout \(model?["dropout"]?.compact ?? ""))")
        }
        if let prefix = model?["continuing_subword_prefix"]?.string, !prefix.isEmpty {
            throw refused("writes '\(prefix)' before tokens within a word (continuing_subword_prefix)")
        }
        if let suffix = model?["end_of_word_suffix"]?.string, !suffix.isEmpty {
            throw refused("writes '\(suffix)' after the last token of a word (end_of_word_suffix)")
        }
        guard self.model == .byteLevelBPE else { return }
        // Without a substitute, a byte that has no token vanishes, here as in the library.
        let substitute = model?["unk_token"]?.string
        guard substitute != nil || model?["byte_fallback"] == .bool(true) else { return }
        let missing = ByteAlphabet.characters.filter { vocabulary[String(Character($0))] == nil }
        if let first = missing.first {
            throw refused(
                "has no token for \(missing.count) of the 256 bytes, such as '\(first)', and puts "
                    + "\(substitute.map { "'\($0)'" } ?? "byte tokens") there "
                    + "(\(substitute == nil ? "byte_fallback" : "unk_token"))")
        }
    }

    private static func kind(_ text: String?, _ added: AddedToken?) -> TokenKind {
        guard let text else { return .unused }
        guard let added else { return .normal }
        return added.special || looksSpecial(text) ? .control : .userDefined
    }

    /// Tokens that llama.cpp's converter treats as control tokens although they are not marked.
    private static func looksSpecial(_ text: String) -> Bool {
        text == "<pad>" || text == "<mask>" || text == "<2mass>" || text == "[@BOS@]"
            || (text.hasPrefix("<|") && text.hasSuffix("|>"))
            || (text.hasPrefix("<｜") && text.hasSuffix("｜>"))
            || (text.hasPrefix("<unused") && text.hasSuffix(">"))
    }

    /// Merges as pairs, or as text with one space between the parts.
    private static func merges(
        _ list: [JSON], _ wrong: (String, String?) -> CheckpointError
    ) throws(CheckpointError) -> [Merge] {
        var merges: [Merge] = []
        merges.reserveCapacity(list.count)
        for entry in list {
            let parts: [String]
            if let text = entry.string {
                // Compare bytes: a space with a combining mark is not the character " ".
                parts = text.utf8.split(separator: 0x20, omittingEmptySubsequences: false).map { String(Substring($0)) }
                guard parts.count == 2 else { throw wrong("the merge '\(text)' is not two tokens with a space", nil) }
            } else if let pair = entry.array?.compactMap(\.string), pair.count == 2, entry.array?.count == 2 {
                parts = pair
            } else {
                throw wrong("a merge is neither text nor a pair", nil)
            }
            merges.append(Merge(parts[0], parts[1]))
        }
        return merges
    }
}
