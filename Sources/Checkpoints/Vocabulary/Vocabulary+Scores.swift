internal import Formats

/// SentencePiece's models in a GGUF file, and the conversion between scores and merges.
extension Vocabulary {
    /// The token for characters that have no token.
    package var unknownSymbolID: Int? { kinds.firstIndex(of: .unknown) ?? unknownID }

    /// The texts of the tokens: runtimes look for added tokens before they replace spaces.
    var ggufTexts: [String] {
        zip(tokens, kinds).map { $1 == .userDefined ? Vocabulary.withSpaces($0) : $0 }
    }

    /// The kinds of the tokens. An unknown token that is also a special one is a control token for llama.cpp's converter, where
    /// tokenizer_config.json lists it or there is no tokenizer.model.
    var ggufKinds: [TokenKind] {
        guard model != .byteLevelBPE, !keepsUnknownKind, let id = kinds.firstIndex(of: .unknown),
            addedTokens.contains(where: { $0.id == id && $0.special })
        else { return kinds }
        var result = kinds
        result[id] = .control
        return result
    }

    /// `add_space_prefix`. Without the key, runtimes put a space before every text of SentencePiece's BPE.
    var spacePrefix: Bool? {
        switch model {
        case .byteLevelBPE: return addsSpacePrefix
        case .sentencePieceBPE: return putsSpaceInFront ? addsSpacePrefix.map { _ in true } : false
        case .unigram: return putsSpaceInFront || normalizations.contains(.prepend(" "))
        }
    }

    /// The GGUF keys for the changes that a unigram model makes to a text.
    var textKeys: [(String, GGUFValue)] {
        let collapses = normalizations.contains { step in
            switch step {
            case .collapseSpaces, .replaceRuns: true
            default: false
            }
        }
        var result: [(String, GGUFValue)] = [
            ("ggml.remove_extra_whitespaces", .bool(collapses || metaspace?.dropsWhitespace == true))
        ]
        for case .charsmap(let bytes, _) in normalizations {
            result.append(("ggml.precompiled_charsmap", .array(elementType: 0, bytes.map(GGUFValue.u8))))
        }
        return result
    }

    /// The score of every token; in a vocabulary without scores, scores that give the same order of merges.
    ///
    /// - Throws: when no scores give the same merges.
    func ggufScores(file: String?) throws(CheckpointError) -> [Float] {
        if !scores.isEmpty {
            return scores + Array(repeating: Vocabulary.scoreOfAdded, count: max(0, tokens.count - scores.count))
        }
        // Added tokens are found in the text before anything is merged.
        var ids: [ExactString: Int] = [:]
        for (id, token) in tokens.enumerated() where kinds[id] == .normal { ids[ExactString(token)] = id }
        var ranks: [Int: Int] = [:]
        var count = 0
        for (rank, merge) in merges.enumerated() {
            guard let id = ids[ExactString(merge.left + merge.right)] else { continue }
            if ranks[id] == nil { ranks[id] = rank }
            if ids[ExactString(merge.left)] != nil, ids[ExactString(merge.right)] != nil { count += 1 }
        }
        // Runtimes merge any two tokens whose texts together are a token, so all such pairs have to be merges.
        var possible = 0
        for (id, token) in tokens.enumerated() where kinds[id] == .normal {
            possible += Vocabulary.splits(token) { ids[$0] != nil && ids[$1] != nil }
        }
        guard count == possible else {
            throw CheckpointError(
                file: file,
                "its \(merges.count.grouped) merges cannot be stored in a GGUF file, which has a score for each token: "
                    + "\(possible.grouped) pairs of tokens would be merged",
                hint: "put the tokenizer.model that it was made from beside tokenizer.json")
        }
        return tokens.indices.map { id in ranks[id].map { -Float($0) } ?? Vocabulary.scoreOfAdded }
    }

    /// The longest token, in bytes, that a merge may make: trying all ways to cut a token in two takes time in the
    /// square of its length.
    package static let longestMerged = 1024

    /// The number of ways to cut a token into two parts that `holds` accepts.
    private static func splits(_ token: String, _ holds: (ExactString, ExactString) -> Bool) -> Int {
        guard token.utf8.count <= longestMerged else { return 0 }
        let scalars = token.unicodeScalars
        return scalars.indices.dropFirst().reduce(0) { count, index in
            let isPair = holds(ExactString(String(scalars[..<index])), ExactString(String(scalars[index...])))
            return count + (isPair ? 1 : 0)
        }
    }

    /// The merges that scores stand for: all pairs of tokens whose texts together are a token, in descending order of
    /// that token's score.
    package var mergesOfScores: [Merge] {
        var ids: [ExactString: Int] = [:]
        for (id, token) in tokens.enumerated() where !isPlaceholder(id) { ids[ExactString(token)] = id }
        var found: [(merge: Merge, score: Float, left: Int, right: Int)] = []
        for (id, token) in tokens.enumerated() where kinds[id] == .normal || kinds[id] == .userDefined {
            guard token.utf8.count <= Vocabulary.longestMerged else { continue }
            let scalars = token.unicodeScalars
            for index in scalars.indices.dropFirst() {
                let left = String(scalars[..<index]), right = String(scalars[index...])
                guard ids[ExactString(left)] != nil, ids[ExactString(right)] != nil else { continue }
                found.append((Merge(left, right), scores[id], left.unicodeScalars.count, right.unicodeScalars.count))
            }
        }
        let order = found.indices.sorted { a, b in
            let (first, second) = (found[a], found[b])
            if first.score != second.score { return first.score > second.score }
            if first.left != second.left { return first.left > second.left }
            if first.right != second.right { return first.right > second.right }
            return a < b
        }
        return order.map { found[$0].merge }
    }

    /// Notes about normalizations that runtimes of a GGUF file do not do.
    func normalizationNotes(file: String) -> [String] {
        var result: [String] = []
        if model == .byteLevelBPE, normalizations != Vocabulary.normalizations(of: preTokenizer) {
            result.append(
                "\(file): the normalizer of tokenizer.json is left out; GGUF has none for the pre-tokenizer '\(preTokenizer)'"
            )
        }
        if model == .sentencePieceBPE {
            let known: [Normalization] = [
                .prepend(Vocabulary.spaceSymbol), .prepend(" "), .replace(" ", with: Vocabulary.spaceSymbol),
            ]
            if normalizations.contains(where: { !known.contains($0) }) {
                result.append(
                    "\(file): runtimes of a GGUF file put spaces into tokens and do nothing else of the normalizer")
            }
            if metaspace?.prepending == .first {
                result.append(
                    "\(file): runtimes of a GGUF file put a space also before text that follows a special token "
                        + "(prepend_scheme is first)")
            }
        }
        return result
    }
}
