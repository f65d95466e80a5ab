internal import Formats

extension Vocabulary {
    /// Reads the vocabulary from the metadata of a GGUF file.
    ///
    /// - Throws: when it is missing, of a kind that resect does not compute, or contradicts itself.
    init(metadata: GGUFMetadata, file: String) throws(CheckpointError) {
        func wrong(_ problem: String, hint: String? = nil) -> CheckpointError {
            CheckpointError(file: file, problem, hint: hint)
        }
        guard let name = metadata["tokenizer.ggml.model"]?.string else {
            throw wrong("has no vocabulary (tokenizer.ggml.model)")
        }
        guard let model = Model(rawValue: name) else {
            throw wrong(
                "has a vocabulary of the kind '\(name)', which is not read",
                hint: "byte-level BPE ('gpt2') and SentencePiece ('llama' and 't5') are")
        }
        let pre = metadata["tokenizer.ggml.pre"]?.string ?? "default"
        let preTokenizer = model == .byteLevelBPE ? PreTokenizer.named(pre) : nil
        if model == .byteLevelBPE, preTokenizer == nil {
            throw wrong(
                "has the pre-tokenizer '\(pre)', which resect does not know",
                hint: "known: " + PreTokenizer.all.map(\.name).joined(separator: " "))
        }
        guard let tokens = metadata["tokenizer.ggml.tokens"]?.array?.compactMap(\.string), !tokens.isEmpty,
            tokens.count == metadata["tokenizer.ggml.tokens"]?.array?.count
        else { throw wrong("tokenizer.ggml.tokens is missing or not a list of text") }
        func checkCount(_ key: String, _ list: [GGUFValue]) throws(CheckpointError) {
            guard list.count == tokens.count else {
                throw wrong("\(key) has \(list.count.grouped) entries for \(tokens.count.grouped) tokens")
            }
        }
        var kinds = Array(repeating: TokenKind.normal, count: tokens.count)
        if let types = metadata["tokenizer.ggml.token_type"]?.array {
            try checkCount("tokenizer.ggml.token_type", types)
            kinds = types.map { $0.int.flatMap { TokenKind(rawValue: Int32(clamping: $0)) } ?? .normal }
        }
        self.init(
            model: model, preTokenizer: pre, tokens: tokens, kinds: kinds,
            merges: try Vocabulary.merges(metadata["tokenizer.ggml.merges"]?.array ?? [], file: file),
            ignoresMerges: preTokenizer?.ignoresMerges ?? false)
        if model != .byteLevelBPE {
            guard let scores = metadata["tokenizer.ggml.scores"]?.array else {
                throw wrong("has no tokenizer.ggml.scores, which a vocabulary of the kind '\(name)' needs")
            }
            try checkCount("tokenizer.ggml.scores", scores)
            self.scores = scores.map { Float($0.double ?? 0) }
        }
        for (id, kind) in kinds.enumerated() where kind == .control || kind == .userDefined {
            addedTokens.append(AddedToken(id: id, content: tokens[id], special: kind == .control))
        }
        // Runtimes also find the unknown token in a text.
        for (id, kind) in kinds.enumerated() where model != .byteLevelBPE && kind == .unknown {
            addedTokens.append(AddedToken(id: id, content: tokens[id], special: true))
        }
        // Phi-3's tokens take the white space behind them along; the file has no key for it.
        let title = (metadata["general.name"]?.string ?? "").lowercased()
        if title.containsBytes(of: "phi-3") || title.containsBytes(of: "phi3") {
            for index in addedTokens.indices
            where !["<unk>", "<s>", "<|endoftext|>"].contains(addedTokens[index].content) {
                addedTokens[index].stripsRight = true
            }
        }
        try readOtherKeys(metadata, file: file)
        func special(_ name: String) -> Int? {
            // llama.cpp reads an id beyond the vocabulary as "none"; files contain 2^32 - 1 for that.
            metadata["tokenizer.ggml.\(name)_token_id"]?.int.flatMap { tokens.indices.contains($0) ? $0 : nil }
        }
        beginningID = special("bos")
        endID = special("eos")
        unknownID = special("unknown")
        paddingID = special("padding")
        separatorID = special("seperator")
        maskID = special("mask")
        for other in [special("eot"), special("eom")] {
            if let other, other != endID, !otherEndIDs.contains(other) { otherEndIDs.append(other) }
        }
        addsBeginning =
            metadata["tokenizer.ggml.add_bos_token"]?.bool ?? (preTokenizer?.addsBeginning == true ? true : nil)
        addsEnd = metadata["tokenizer.ggml.add_eos_token"]?.bool
        addsSeparator = metadata["tokenizer.ggml.add_sep_token"]?.bool
        addsSpacePrefix = metadata["tokenizer.ggml.add_space_prefix"]?.bool
        if model != .byteLevelBPE { try readSentencePiece(metadata, file: file) }
        readChatTemplates(metadata: metadata)
    }

    /// Merges as llama.cpp reads them: the first space after the first character separates the two tokens.
    private static func merges(_ list: [GGUFValue], file: String) throws(CheckpointError) -> [Merge] {
        var result: [Merge] = []
        result.reserveCapacity(list.count)
        for entry in list {
            let text = entry.string ?? ""
            guard let space = text.utf8.dropFirst().firstIndex(of: 0x20), text.utf8.index(after: space) < text.endIndex
            else {
                throw CheckpointError(file: file, "the merge '\(text)' is not two tokens with a space between them")
            }
            result.append(Merge(String(text[..<space]), String(text[text.utf8.index(after: space)...])))
        }
        return result
    }

    /// Reads what llama.cpp does with a text under SentencePiece's models, with its defaults for missing keys.
    private mutating func readSentencePiece(_ metadata: GGUFMetadata, file: String) throws(CheckpointError) {
        func flag(_ name: String) -> Bool? { metadata["tokenizer.ggml.\(name)"]?.bool }
        /// A standard number, where the key is missing or beyond the vocabulary.
        func id(_ known: Int?, _ standard: Int) -> Int? { known ?? (standard < tokens.count ? standard : nil) }
        if model == .sentencePieceBPE {
            (beginningID, endID, unknownID) = (id(beginningID, 1), id(endID, 2), id(unknownID, 0))
            addsBeginning = addsBeginning ?? true
            (fallsBackToBytes, fusesUnknown) = (true, true)
            if addsSpacePrefix ?? true { normalizations.append(.prepend(Vocabulary.spaceSymbol)) }
            normalizations.append(.replace(" ", with: Vocabulary.spaceSymbol))
            return
        }
        (endID, unknownID, paddingID) = (id(endID, 1), id(unknownID, 2), id(paddingID, 0))
        addsEnd = addsEnd ?? true
        fusesUnknown = true
        if let table = metadata["tokenizer.ggml.precompiled_charsmap"]?.array, !table.isEmpty {
            let bytes = table.compactMap { $0.int.map { UInt8(truncatingIfNeeded: $0) } }
            normalizations.append(.charsmap(bytes, graphemes: false))
        }
        // Where runs of spaces become one, every word has a space in front, the first one too.
        let merges = flag("remove_extra_whitespaces") == true
        if merges {
            normalizations.append(.collapseSpaces)
        } else if addsSpacePrefix == true {
            normalizations.append(.prepend(" "))
        }
        metaspace = Metaspace(prepending: merges ? .always : .never, splits: false)
    }

    /// Keys that resect reads, or that do not affect tokens.
    private static let knownKeys: Set<String> = [
        "model", "pre", "tokens", "token_type", "token_type_count", "scores", "merges", "bos_token_id", "eos_token_id",
        "unknown_token_id", "padding_token_id", "seperator_token_id", "mask_token_id", "cls_token_id", "eot_token_id",
        "eom_token_id", "add_bos_token", "add_eos_token", "add_sep_token", "add_space_prefix",
    ]
    /// Keys that change the text before tokenization when they are true.
    private static let changingKeys: Set<String> = [
        "remove_extra_whitespaces", "precompiled_charsmap", "normalizer.lowercase", "normalizer.strip_accents",
    ]

    /// Refuses keys that change tokens in a way that resect does not compute, and notes keys without a counterpart in a
    /// folder.
    private mutating func readOtherKeys(_ metadata: GGUFMetadata, file: String) throws(CheckpointError) {
        let prefix = "tokenizer.ggml."
        for pair in metadata.pairs where pair.key.hasPrefix(prefix) {
            let name = String(pair.key.dropFirst(prefix.count))
            if model == .unigram, name == "precompiled_charsmap" || name == "remove_extra_whitespaces" { continue }
            if Vocabulary.changingKeys.contains(name) {
                guard pair.value == .bool(false) || pair.value.array?.isEmpty == true else {
                    throw CheckpointError(
                        file: file,
                        "\(pair.key) changes the text before it is cut into tokens, which resect "
                            + "does not do")
                }
            } else if !Vocabulary.knownKeys.contains(name) {
                notes.append("\(file): \(pair.key) is left out; the files of a folder have no setting for it")
            }
        }
    }
}
