internal import Formats

/// How SentencePiece's kinds are written into a GGUF file, and how scores become merges.
extension Vocabulary {
    /// The token of characters that have none.
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

    /// The keys of what a unigram model does to a text.
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

    /// The score of every token; where there are none, those that put merges in their order.
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
        // Runtimes merge any two tokens that together are one, so all such pairs have to be merges.
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

    /// No merge makes a longer token: all ways to cut one in two take the square of its length.
    package static let longestMerged = 1024

    /// How many ways to cut a token in two have both parts in a set.
    private static func splits(_ token: String, _ holds: (ExactString, ExactString) -> Bool) -> Int {
        guard token.utf8.count <= longestMerged else { return 0 }
        let scalars = token.unicodeScalars
        return scalars.indices.dropFirst().reduce(0) { count, index in
            let isPair = holds(ExactString(String(scalars[..<index])), ExactString(String(scalars[index...])))
            return count + (isPair ? 1 : 0)
        }
    }

    /// The merges that scores stand for: all pairs of tokens that are together a token, the highest score first.
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
