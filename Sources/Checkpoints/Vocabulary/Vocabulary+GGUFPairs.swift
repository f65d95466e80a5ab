internal import Formats

extension Vocabulary {
    /// The metadata pairs that llama.cpp's converter writes for this vocabulary.
    ///
    /// - Parameters:
    ///   - vocabularySize: the number of embedding rows; ids without a token get a placeholder.
    ///   - architecture: `general.architecture`, on which one default depends.
    ///   - file: the folder, for messages.
    /// - Throws: when a token has no row, or something cannot be stored in a GGUF file.
    package func ggufPairs(
        vocabularySize: Int, architecture: String? = nil, file: String? = nil
    ) throws(CheckpointError) -> [GGUFMetadata.Pair] {
        guard tokens.count <= vocabularySize else { throw withoutRow(vocabularySize, file: file) }
        return try withFamilyTokens(architecture, vocabularySize: vocabularySize)
            .pairs(vocabularySize: vocabularySize, architecture: architecture, file: file)
    }

    private func pairs(
        vocabularySize: Int, architecture: String?, file: String?
    ) throws(CheckpointError) -> [GGUFMetadata.Pair] {
        var result: [GGUFMetadata.Pair] = []
        func add(_ key: String, _ value: GGUFValue?) {
            if let value { result.append(.init(key: "tokenizer." + key, value: value)) }
        }
        func id(_ value: Int?) -> GGUFValue? {
            value.flatMap { 0..<vocabularySize ~= $0 ? .u32(UInt32(clamping: $0)) : nil }
        }
        let padding = tokens.count..<vocabularySize
        add("ggml.add_space_prefix", spacePrefix.map(GGUFValue.bool))
        add("ggml.model", .string(model.rawValue))
        let pre = PreTokenizer.named(preTokenizer)?.named(for: architecture, ignoresMerges: ignoresMerges)
        add("ggml.pre", .string(pre?.name ?? preTokenizer))
        add("ggml.tokens", .strings(ggufTexts + padding.map(Vocabulary.placeholder)))
        let types = ggufKinds + padding.map { _ in TokenKind.unused }
        add("ggml.token_type", .array(elementType: 5, types.map { .i32($0.rawValue) }))
        if model == .byteLevelBPE {
            if !merges.isEmpty { add("ggml.merges", .strings(try mergeTexts(file: file))) }
        } else {
            let scores = try ggufScores(file: file) + padding.map { _ in Vocabulary.scoreOfNone }
            add("ggml.scores", .array(elementType: 6, scores.map(GGUFValue.f32)))
        }
        if model == .unigram { for (key, value) in textKeys { add(key, value) } }
        add("ggml.bos_token_id", id(beginningID))
        add("ggml.eos_token_id", id(endID))
        add("ggml.unknown_token_id", id(unknownID))
        add("ggml.seperator_token_id", id(separatorID))
        add("ggml.padding_token_id", id(paddingID))
        add("ggml.mask_token_id", id(maskID))
        add("ggml.eot_token_id", id(otherEndIDs.first))
        add("ggml.eom_token_id", id(otherEndIDs.dropFirst().first))
        add("ggml.add_bos_token", addsBeginning(architecture, vocabularySize).map(GGUFValue.bool))
        add("ggml.add_eos_token", addsEnd.map(GGUFValue.bool))
        add("ggml.add_sep_token", addsSeparator.map(GGUFValue.bool))
        return result + (try chatTemplatePairs(file: file))
    }

    private func withoutRow(_ rows: Int, file: String?) -> CheckpointError {
        let token = addedTokens.first { $0.id >= rows }
        let id = token?.id ?? rows
        return CheckpointError(
            file: file,
            "the \(token == nil ? "" : "added ")token '\(token?.content ?? tokens[id])' has the number \(id.grouped); "
                + "the embedding has \(rows.grouped) rows",
            hint:
                "resize the embedding (resize_token_embeddings in transformers), or remove the token from tokenizer.json"
        )
    }

    /// The merges as text, in which a space separates the two tokens.
    private func mergeTexts(file: String?) throws(CheckpointError) -> [String] {
        var result: [String] = []
        result.reserveCapacity(merges.count)
        for merge in merges {
            guard !merge.left.utf8.contains(0x20), !merge.right.utf8.contains(0x20), !merge.left.isEmpty,
                !merge.right.isEmpty
            else {
                throw CheckpointError(
                    file: file,
                    "the merge of '\(merge.left)' and '\(merge.right)' cannot be stored in "
                        + "a GGUF file, where a space parts the two tokens")
            }
            result.append(merge.left + " " + merge.right)
        }
        return result
    }

    /// The value of `add_bos_token` to write.
    ///
    /// When the tokenizer does not state it, llama.cpp's class for llama, which Granite's inherits, writes false for
    /// 49,152 tokens. Without the key, runtimes assume true when the pre-tokenizer is Llama 3's.
    private func addsBeginning(_ architecture: String?, _ vocabularySize: Int) -> Bool? {
        if let addsBeginning { return addsBeginning }
        // Without the key, runtimes put the beginning token before every text under SentencePiece's byte-pair encoding.
        if model == .sentencePieceBPE { return false }
        let isLlama = architecture == "llama" || architecture?.hasPrefix("granite") == true
        if isLlama, vocabularySize == 49152 { return false }
        return PreTokenizer.named(preTokenizer)?.addsBeginning == true ? false : nil
    }

    /// Notes about parts of this vocabulary that GGUF cannot store.
    package func ggufNotes(file: String) -> [String] {
        var result: [String] = []
        func list(_ tokens: [String]) -> String {
            tokens.prefix(3).map { "'\($0)'" }.joined(separator: ", ") + (tokens.count > 3 ? ", …" : "")
        }
        let particular = addedTokens.filter { $0.stripsLeft || $0.stripsRight || $0.singleWord }.map(\.content)
        if !particular.isEmpty {
            result.append(
                "\(file): lstrip, rstrip and single_word of \(list(particular)) are left out; GGUF cannot store them"
            )
        }
        result += normalizationNotes(file: file)
        let pre = PreTokenizer.named(preTokenizer)
        if let pre, pre.ignoresMerges != ignoresMerges {
            result.append(
                "\(file): ignore_merges is \(ignoresMerges); runtimes of a GGUF file with the pre-tokenizer "
                    + "'\(pre.name)' assume \(pre.ignoresMerges), so some words may become other tokens")
        }
        if otherEndIDs.count > 2 {
            result.append(
                "\(file): a GGUF file holds three tokens that end a text; "
                    + "\(list(otherEndIDs.dropFirst(2).map { tokens.indices.contains($0) ? tokens[$0] : "\($0)" })) "
                    + "are left out")
        }
        for template in chatTemplates where Vocabulary.keyName(template.name) != template.name {
            if template.name == ChatTemplate.defaultName { continue }
            result.append(
                "\(file): the chat template '\(template.name)' is called '\(Vocabulary.keyName(template.name))' "
                    + "in a GGUF file")
        }
        return result
    }
}
