internal import Formats

extension Vocabulary {
    /// Reads the vocabulary from the metadata of a GGUF file.
    ///
    /// - Throws: when it is missing, of another kind than byte-level BPE, or contradicts itself.
    init(metadata: GGUFMetadata, file: String) throws(CheckpointError) {
        func wrong(_ problem: String, hint: String? = nil) -> CheckpointError {
            CheckpointError(file: file, problem, hint: hint)
        }
        guard let model = metadata["tokenizer.ggml.model"]?.string else {
            throw wrong("has no vocabulary (tokenizer.ggml.model)")
        }
        guard Model(rawValue: model) != nil else {
            throw wrong(
                "has a vocabulary of the kind '\(model)', which is not read", hint: "byte-level BPE ('gpt2') is")
        }
        let pre = metadata["tokenizer.ggml.pre"]?.string ?? "default"
        guard let preTokenizer = PreTokenizer.named(pre) else {
            throw wrong(
                "has the pre-tokenizer '\(pre)', which nobody has described",
                hint: "described: " + PreTokenizer.all.map(\.name).joined(separator: " "))
        }
        guard let tokens = metadata["tokenizer.ggml.tokens"]?.array?.compactMap(\.string), !tokens.isEmpty,
            tokens.count == metadata["tokenizer.ggml.tokens"]?.array?.count
        else { throw wrong("tokenizer.ggml.tokens is missing or not a list of text") }
        let merges = metadata["tokenizer.ggml.merges"]?.array?.compactMap(\.string) ?? []
        var kinds = Array(repeating: TokenKind.normal, count: tokens.count)
        if let types = metadata["tokenizer.ggml.token_type"]?.array {
            guard types.count == tokens.count else {
                throw wrong(
                    "tokenizer.ggml.token_type has \(types.count.grouped) entries for \(tokens.count.grouped) tokens")
            }
            kinds = types.map { $0.int.flatMap { TokenKind(rawValue: Int32(clamping: $0)) } ?? .normal }
        }
        self.init(
            preTokenizer: pre, tokens: tokens, kinds: kinds, merges: merges,
            ignoresMerges: preTokenizer.ignoresMerges)
        for (id, kind) in kinds.enumerated() where kind == .control || kind == .userDefined {
            addedTokens.append(AddedToken(id: id, content: tokens[id], special: kind == .control))
        }
        func special(_ key: String) throws(CheckpointError) -> Int? {
            guard let value = metadata["tokenizer.ggml.\(key)_token_id"] else { return nil }
            // llama.cpp takes a number beyond the vocabulary for "none"; so does every file that holds 2^32 - 1.
            guard let id = value.int, tokens.indices.contains(id) else { return nil }
            return id
        }
        beginningID = try special("bos")
        endID = try special("eos")
        unknownID = try special("unknown")
        paddingID = try special("padding")
        addsBeginning =
            metadata["tokenizer.ggml.add_bos_token"]?.bool ?? (preTokenizer.addsBeginning ? true : nil)
        addsEnd = metadata["tokenizer.ggml.add_eos_token"]?.bool
        addsSpacePrefix = metadata["tokenizer.ggml.add_space_prefix"]?.bool
        chatTemplate = metadata["tokenizer.chat_template"]?.string
    }

    /// The metadata pairs that llama.cpp's converter writes for this vocabulary.
    ///
    /// - Parameter vocabularySize: rows of the embedding; numbers without a token get a placeholder.
    package func ggufPairs(vocabularySize: Int) throws(CheckpointError) -> [GGUFMetadata.Pair] {
        guard tokens.count <= vocabularySize else {
            throw CheckpointError(
                "the tokenizer has \(tokens.count.grouped) tokens; vocab_size is \(vocabularySize.grouped)")
        }
        var result: [GGUFMetadata.Pair] = []
        func add(_ key: String, _ value: GGUFValue?) {
            if let value { result.append(.init(key: "tokenizer." + key, value: value)) }
        }
        func id(_ value: Int?) -> GGUFValue? { value.map { .u32(UInt32(clamping: $0)) } }
        let padding = tokens.count..<vocabularySize
        add("ggml.add_space_prefix", addsSpacePrefix.map(GGUFValue.bool))
        add("ggml.model", .string(model.rawValue))
        add("ggml.pre", .string(preTokenizer))
        add("ggml.tokens", .strings(tokens + padding.map { "[PAD\($0)]" }))
        let types = kinds + padding.map { _ in TokenKind.unused }
        add("ggml.token_type", .array(elementType: 5, types.map { .i32($0.rawValue) }))
        if !merges.isEmpty { add("ggml.merges", .strings(merges)) }
        add("ggml.bos_token_id", id(beginningID))
        add("ggml.eos_token_id", id(endID))
        add("ggml.unknown_token_id", id(unknownID))
        add("ggml.padding_token_id", id(paddingID))
        add("ggml.add_bos_token", addsBeginning.map(GGUFValue.bool))
        add("ggml.add_eos_token", addsEnd.map(GGUFValue.bool))
        add("ggml.add_sep_token", addsSeparator.map(GGUFValue.bool))
        add("chat_template", chatTemplate.map(GGUFValue.string))
        return result
    }
}
