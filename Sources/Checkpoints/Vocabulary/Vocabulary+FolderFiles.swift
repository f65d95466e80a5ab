internal import Formats

extension Vocabulary {
    /// The tokenizer files of an HF folder: tokenizer.json, tokenizer_config.json and special_tokens_map.json.
    ///
    /// - Parameter source: the file that the vocabulary came from, for messages.
    /// - Throws: when the tokenizers library could not load the file or would produce other ids.
    package func folderFiles(of source: String? = nil) throws(CheckpointError) -> [Checkpoint.Companion] {
        let definition: JSON
        if model == .byteLevelBPE {
            guard let known = PreTokenizer.named(preTokenizer) else {
                throw CheckpointError(file: source, "resect does not know the pre-tokenizer '\(preTokenizer)'")
            }
            definition = known.definition
        } else {
            definition = metaspaceMember
        }
        let vocabulary = try vocabularyMember(source)
        try checkMerges(vocabulary, source)
        func file(_ name: String, _ object: JSONObject) -> Checkpoint.Companion {
            .init(name: name, contents: Array(JSON.object(object).pretty.utf8))
        }
        return [
            file("special_tokens_map.json", specialTokens),
            file("tokenizer.json", tokenizerJSON(definition, vocabulary)),
            file("tokenizer_config.json", settings),
        ]
    }

    /// Every token with its number.
    private func vocabularyMember(_ source: String?) throws(CheckpointError) -> JSONObject {
        var result = JSONObject()
        for (id, token) in tokens.enumerated() where !isPlaceholder(id) {
            guard result.append(token, .int(id)) else {
                throw CheckpointError(
                    file: source,
                    "the tokens \((result[token]?.int ?? 0).grouped) and \(id.grouped) are both "
                        + "'\(token)', which tokenizer.json cannot store")
            }
        }
        return result
    }

    /// Leaves out merges of tokens that the vocabulary does not have: tokenizer.json cannot hold them, and a text is
    /// cut into the tokens that they would have merged.
    package mutating func leaveOutUnknownMerges(of source: String) {
        var known: Set<ExactString> = []
        for (id, token) in tokens.enumerated() where !isPlaceholder(id) { known.insert(ExactString(token)) }
        let count = merges.count
        merges.removeAll { merge in
            [merge.left, merge.right, merge.left + merge.right].contains { !known.contains(ExactString($0)) }
        }
        guard merges.count < count else { return }
        notes.append(
            "\(source): \((count - merges.count).grouped) of \(count.grouped) merges name tokens that the vocabulary does "
                + "not have; they are left out")
    }

    private func checkMerges(_ vocabulary: JSONObject, _ source: String?) throws(CheckpointError) {
        for merge in merges {
            for part in [merge.left, merge.right, merge.left + merge.right] where vocabulary[part] == nil {
                throw CheckpointError(
                    file: source,
                    "the merge of '\(merge.left)' and '\(merge.right)' names the token "
                        + "'\(part)', which the vocabulary does not have")
            }
        }
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
        result["sep_token"] = text(separatorID)
        result["mask_token"] = text(maskID)
        return result
    }

    private var settings: JSONObject {
        var result = JSONObject()
        if model == .byteLevelBPE { result["add_prefix_space"] = .bool(addsSpacePrefix ?? false) }
        result["added_tokens_decoder"] = .object(
            JSONObject(
                addedTokens.sorted { $0.id < $1.id }.map { token in
                    var entry = Vocabulary.entry(token)
                    entry["id"] = nil
                    return (String(token.id), .object(entry))
                }))
        for (key, value) in specialTokens.members { result[key] = value }
        result["chat_template"] = chatTemplateMember
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

    private func tokenizerJSON(_ definition: JSON, _ vocabulary: JSONObject) -> JSONObject {
        let byteLevel = JSONObject([
            ("type", .string("ByteLevel")), ("add_prefix_space", .bool(false)),
            ("trim_offsets", .bool(false)), ("use_regex", .bool(true)),
        ])
        let added = addedTokens.sorted { $0.id < $1.id }.map { JSON.object(Vocabulary.entry($0)) }
        let isByteLevel = model == .byteLevelBPE
        return JSONObject([
            ("version", .string("1.0")), ("truncation", .null), ("padding", .null),
            ("added_tokens", .array(added)), ("normalizer", normalizer),
            ("pre_tokenizer", definition),
            ("post_processor", postProcessor ?? (isByteLevel ? .object(byteLevel) : .null)),
            ("decoder", isByteLevel ? .object(byteLevel) : symbolDecoder),
            ("model", .object(model == .unigram ? unigramMember : pairsMember(vocabulary))),
        ])
    }

    private func pairsMember(_ vocabulary: JSONObject) -> JSONObject {
        let isByteLevel = model == .byteLevelBPE
        let list = merges.isEmpty && !isByteLevel && scores.count == tokens.count ? mergesOfScores : merges
        let pairs = list.map { JSON.array([.string($0.left), .string($0.right)]) }
        let unknown = isByteLevel ? nil : text(unknownSymbolID)
        return JSONObject([
            ("type", .string("BPE")), ("dropout", .null), ("unk_token", unknown ?? .null),
            ("continuing_subword_prefix", .null), ("end_of_word_suffix", .null), ("fuse_unk", .bool(fusesUnknown)),
            ("byte_fallback", .bool(fallsBackToBytes)), ("ignore_merges", .bool(ignoresMerges)),
            ("vocab", .object(vocabulary)), ("merges", .array(pairs)),
        ])
    }

    private var unigramMember: JSONObject {
        let list = zip(tokens, scores).map { JSON.array([.string($0), .double(Double($1))]) }
        return JSONObject([
            ("type", .string("Unigram")), ("unk_id", unknownSymbolID.map(JSON.int) ?? .null), ("vocab", .array(list)),
            ("byte_fallback", .bool(fallsBackToBytes)),
        ])
    }

    /// The decoder of SentencePiece's tokens.
    private var symbolDecoder: JSON {
        func step(_ type: String, _ members: [(String, JSON)] = []) -> JSON {
            .object(JSONObject([("type", .string(type))] + members))
        }
        var steps = [
            step(
                "Replace",
                [
                    ("pattern", .object(JSONObject([("String", .string(Vocabulary.spaceSymbol))]))),
                    ("content", .string(" ")),
                ]), step("ByteFallback"), step("Fuse"),
        ]
        if putsSpaceInFront {
            steps.append(step("Strip", [("content", .string(" ")), ("start", .int(1)), ("stop", .int(0))]))
        }
        return step("Sequence", [("decoders", .array(steps))])
    }

    /// The template that puts the beginning and end tokens around a text; `nil` when there is neither.
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
