internal import Formats

extension Vocabulary {
    /// Reads the parsed tokenizer.json of an HF folder.
    ///
    /// - Throws: when it is not byte-level BPE, cuts words in a way that nobody has described, or contradicts itself.
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
                "cuts words in a way that nobody has described",
                hint: "described: " + PreTokenizer.all.map(\.name).joined(separator: " "))
        }
        var added: [AddedToken] = []
        for entry in tokenizer["added_tokens"]?.array ?? [] {
            guard let id = entry["id"]?.int, id >= 0, let content = entry["content"]?.string else {
                throw wrong("an added token has no number or no content")
            }
            added.append(
                AddedToken(
                    id: id, content: content, special: entry["special"] == .bool(true),
                    stripsLeft: entry["lstrip"] == .bool(true), stripsRight: entry["rstrip"] == .bool(true),
                    singleWord: entry["single_word"] == .bool(true),
                    normalized: entry["normalized"] == .bool(true)))
        }
        let size = vocabulary.count + added.count
        var tokens: [String?] = Array(repeating: nil, count: size)
        var last = -1
        // Numbers may have gaps, but none that the file's own length would not explain.
        func put(_ token: String, _ id: Int) throws(CheckpointError) {
            if id >= tokens.count, id < 2 * size + 65536 {
                tokens += Array(repeating: nil, count: id + 1 - tokens.count)
            }
            guard tokens.indices.contains(id) else {
                throw wrong("the token '\(token)' has the number \(id.grouped) among \(size.grouped) tokens")
            }
            tokens[id] = token
            last = max(last, id)
        }
        for (token, id) in vocabulary.members {
            guard let id = id.int else { throw wrong("the token '\(token)' has no whole number") }
            try put(token, id)
        }
        for token in added { try put(token.content, token.id) }
        self.init(
            preTokenizer: preTokenizer.name, tokens: [], kinds: [],
            merges: try Vocabulary.merges(model?["merges"]?.array ?? [], wrong), addedTokens: added,
            ignoresMerges: model?["ignore_merges"] == .bool(true))
        var addedByID: [Int: AddedToken] = [:]
        for token in added { addedByID[token.id] = token }
        for id in 0..<(last + 1) {
            self.tokens.append(tokens[id] ?? "[PAD\(id)]")
            self.kinds.append(Vocabulary.kind(tokens[id], addedByID[id]))
        }
        readTemplate(tokenizer["post_processor"])
    }

    private static func kind(_ text: String?, _ added: AddedToken?) -> TokenKind {
        guard let text else { return .unused }
        guard let added else { return .normal }
        return added.special || looksSpecial(text) ? .control : .userDefined
    }

    /// Tokens that llama.cpp's converter takes for control tokens although they are not marked so.
    private static func looksSpecial(_ text: String) -> Bool {
        text == "<pad>" || text == "<mask>" || text == "<2mass>" || text == "[@BOS@]"
            || (text.hasPrefix("<|") && text.hasSuffix("|>"))
            || (text.hasPrefix("<｜") && text.hasSuffix("｜>"))
            || (text.hasPrefix("<unused") && text.hasSuffix(">"))
    }

    /// Merges as pairs, or as text with a space between the parts.
    private static func merges(
        _ list: [JSON], _ wrong: (String, String?) -> CheckpointError
    ) throws(CheckpointError) -> [String] {
        var merges: [String] = []
        merges.reserveCapacity(list.count)
        for entry in list {
            if let text = entry.string {
                merges.append(text)
            } else if let pair = entry.array?.compactMap(\.string), pair.count == 2 {
                merges.append(pair[0] + " " + pair[1])
            } else {
                throw wrong("a merge is neither text nor a pair", nil)
            }
        }
        return merges
    }

    /// What the post-processor puts before and after a text.
    private mutating func readTemplate(_ processor: JSON?) {
        guard let processor else { return }
        for step in processor["processors"]?.array ?? [processor] {
            switch step["type"]?.string {
            case "ByteLevel":
                addsBeginning = addsBeginning ?? false
                addsEnd = addsEnd ?? false
            case "TemplateProcessing":
                let single = step["single"]?.array ?? []
                guard single.count > 1 else { continue }
                if single.first?["SpecialToken"] != nil { addsBeginning = true }
                if single.last?["SpecialToken"] != nil { addsEnd = true }
                // The converter notes this of every template for pairs with a token between the two texts.
                if (step["pair"]?.array?.count ?? 0) > 3 { addsSeparator = false }
            default: break
            }
        }
    }
}
