internal import Formats

extension Vocabulary {
    /// The tokenizer files of an HF folder: tokenizer.json, tokenizer_config.json and special_tokens_map.json.
    package func folderFiles() throws(CheckpointError) -> [Checkpoint.Companion] {
        guard let preTokenizer = PreTokenizer.named(preTokenizer) else {
            throw CheckpointError("nobody has described the pre-tokenizer '\(self.preTokenizer)'")
        }
        func file(_ name: String, _ object: JSONObject) -> Checkpoint.Companion {
            .init(name: name, contents: Array(JSON.object(object).pretty.utf8))
        }
        return [
            file("special_tokens_map.json", specialTokens),
            file("tokenizer.json", tokenizerJSON(preTokenizer)),
            file("tokenizer_config.json", settings),
        ]
    }

    private func text(_ id: Int?) -> JSON? {
        id.flatMap { tokens.indices.contains($0) ? .string(tokens[$0]) : nil }
    }

    private var specialTokens: JSONObject {
        var result = JSONObject()
        result["bos_token"] = text(beginningID)
        result["eos_token"] = text(endID)
        result["unk_token"] = text(unknownID)
        result["pad_token"] = text(paddingID)
        return result
    }

    private var settings: JSONObject {
        var result = JSONObject()
        result["add_prefix_space"] = .bool(addsSpacePrefix ?? false)
        result["added_tokens_decoder"] = .object(
            JSONObject(
                addedTokens.sorted { $0.id < $1.id }.map { token in
                    var entry = Vocabulary.entry(token)
                    entry["id"] = nil
                    return (String(token.id), .object(entry))
                }))
        for (key, value) in specialTokens.members { result[key] = value }
        if let chatTemplate { result["chat_template"] = .string(chatTemplate) }
        result["clean_up_tokenization_spaces"] = .bool(false)
        result["tokenizer_class"] = .string("PreTrainedTokenizerFast")
        return result
    }

    private static func entry(_ token: AddedToken) -> JSONObject {
        JSONObject([
            ("id", .int(token.id)), ("content", .string(token.content)),
            ("single_word", .bool(token.singleWord)), ("lstrip", .bool(token.stripsLeft)),
            ("rstrip", .bool(token.stripsRight)), ("normalized", .bool(token.normalized)),
            ("special", .bool(token.special)),
        ])
    }

    private func tokenizerJSON(_ preTokenizer: PreTokenizer) -> JSONObject {
        let byteLevel = JSONObject([
            ("type", .string("ByteLevel")), ("add_prefix_space", .bool(false)),
            ("trim_offsets", .bool(false)), ("use_regex", .bool(true)),
        ])
        var vocabulary = JSONObject()
        for (id, token) in tokens.enumerated() where kinds[id] != .unused { vocabulary[token] = .int(id) }
        // Pairs, not text: a token may hold a space of its own.
        let pairs = merges.map { merge -> JSON in
            let parts = merge.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
            return .array(parts.map { .string(String($0)) })
        }
        let model = JSONObject([
            ("type", .string("BPE")), ("dropout", .null), ("unk_token", .null),
            ("continuing_subword_prefix", .null), ("end_of_word_suffix", .null), ("fuse_unk", .bool(false)),
            ("byte_fallback", .bool(false)), ("ignore_merges", .bool(ignoresMerges)),
            ("vocab", .object(vocabulary)), ("merges", .array(pairs)),
        ])
        let added = addedTokens.sorted { $0.id < $1.id }.map { JSON.object(Vocabulary.entry($0)) }
        return JSONObject([
            ("version", .string("1.0")), ("truncation", .null), ("padding", .null),
            ("added_tokens", .array(added)), ("normalizer", preTokenizer.normalizer),
            ("pre_tokenizer", preTokenizer.definition),
            ("post_processor", postProcessor ?? .object(byteLevel)), ("decoder", .object(byteLevel)),
            ("model", .object(model)),
        ])
    }

    /// The template that puts the beginning and end tokens around a text; `nil` when neither is put there.
    private var postProcessor: JSON? {
        let first = addsBeginning == true ? beginningID : nil
        let last = addsEnd == true ? endID : nil
        guard first != nil || last != nil else { return nil }
        func token(_ id: Int?, type: Int) -> [JSON] {
            guard let text = text(id) else { return [] }
            let inner = JSONObject([("id", text), ("type_id", .int(type))])
            return [.object(JSONObject([("SpecialToken", .object(inner))]))]
        }
        func sequence(_ name: String, type: Int) -> [JSON] {
            let inner = JSONObject([("id", .string(name)), ("type_id", .int(type))])
            return token(first, type: type) + [.object(JSONObject([("Sequence", .object(inner))]))]
                + token(last, type: type)
        }
        var special = JSONObject()
        for id in [first, last] {
            guard let id, let text = text(id), let name = text.string else { continue }
            special[name] = .object(
                JSONObject([("id", text), ("ids", .array([.int(id)])), ("tokens", .array([text]))]))
        }
        return .object(
            JSONObject([
                ("type", .string("TemplateProcessing")), ("single", .array(sequence("A", type: 0))),
                ("pair", .array(sequence("A", type: 0) + sequence("B", type: 1))),
                ("special_tokens", .object(special)),
            ]))
    }
}
