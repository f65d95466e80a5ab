internal import Formats

extension Vocabulary {
    /// Reads the parsed tokenizer.json of an HF folder. `truncation` and `padding` are left alone: transformers
    /// switches both off for a text that it tokenizes whole.
    ///
    /// - Throws: when it is not byte-level BPE, does something that is not computed here, or contradicts itself.
    init(tokenizer: JSONObject, file: String) throws(CheckpointError) {
        func wrong(_ problem: String, hint: String? = nil) -> CheckpointError {
            CheckpointError(file: file, problem, hint: hint)
        }
        let model = tokenizer["model"]
        guard model?["type"]?.string ?? "BPE" == "BPE", let vocabulary = model?["vocab"]?.object else {
            throw wrong("is a tokenizer of the kind '\(model?["type"]?.string ?? "?")'", hint: "byte-level BPE is read")
        }
        guard
            let preTokenizer = PreTokenizer.matching(
                definition: tokenizer["pre_tokenizer"], normalizer: tokenizer["normalizer"])
        else {
            throw wrong(
                PreTokenizer.obstacle(definition: tokenizer["pre_tokenizer"], normalizer: tokenizer["normalizer"]),
                hint: "known pre-tokenizers: " + PreTokenizer.all.map(\.name).joined(separator: " "))
        }
        var texts = TokenTexts(count: vocabulary.count, file: file)
        for (token, id) in vocabulary.members {
            guard let id = id.int else { throw wrong("the token '\(token)' has no whole number") }
            try texts.put(token, id)
        }
        self.init(
            preTokenizer: preTokenizer.name, tokens: [], kinds: [],
            merges: try Vocabulary.merges(model?["merges"]?.array ?? [], wrong),
            ignoresMerges: model?["ignore_merges"] == .bool(true))
        try readAddedTokens(tokenizer["added_tokens"]?.array ?? [], vocabulary, &texts, file: file)
        var addedByID: [Int: AddedToken] = [:]
        for token in addedTokens { addedByID[token.id] = token }
        for (id, text) in texts.texts.enumerated() {
            tokens.append(text ?? Vocabulary.placeholder(id))
            kinds.append(Vocabulary.kind(text, addedByID[id]))
        }
        try checkModel(model, vocabulary, file: file)
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
            addedTokens.append(
                AddedToken(
                    id: id, content: content, special: entry["special"] == .bool(true),
                    stripsLeft: entry["lstrip"] == .bool(true), stripsRight: entry["rstrip"] == .bool(true),
                    singleWord: entry["single_word"] == .bool(true),
                    normalized: entry["normalized"] == .bool(true)))
            try texts.put(content, id)
            next = max(next, id + 1)
        }
    }

    /// Refuses members of the model that change tokens in a way that is not computed here.
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
