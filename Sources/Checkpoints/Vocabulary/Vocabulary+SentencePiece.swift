internal import Formats

extension Vocabulary {
    /// The vocabulary of a folder that has tokenizer.model and no tokenizer.json.
    init(
        _ source: SentencePieceModel, settings: JSONObject, added: JSONObject, file: String
    ) throws(CheckpointError) {
        self.init(
            model: source.model, preTokenizer: "default", tokens: source.pieces.map(\.text),
            kinds: source.pieces.map(\.kind), merges: [])
        scores = source.pieces.map(\.score)
        normalizations = source.normalizations
        fallsBackToBytes = source.fallsBackToBytes
        fusesUnknown = true
        for (id, kind) in kinds.enumerated() where kind == .control || kind == .userDefined {
            let text = Vocabulary.withSpaces(tokens[id])
            addedTokens.append(AddedToken(id: id, content: text, special: kind == .control))
        }
        for (content, id) in added.members {
            guard let id = id.int, id >= 0 else {
                throw CheckpointError(file: file, "the added token '\(content)' has no number")
            }
            try add(AddedToken(id: id, content: content, special: false), file: file)
        }
        for (id, entry) in settings["added_tokens_decoder"]?.object?.members ?? JSONObject().members {
            guard let id = Int(id), id >= 0, let content = entry["content"]?.string else {
                throw CheckpointError(file: file, "an entry of added_tokens_decoder has no number or no content")
            }
            try add(AddedToken(id: id, content: content, special: false, flags: entry), file: file)
        }
        beginningID = source.beginningID
        endID = source.endID
        paddingID = source.paddingID
        // The classes of transformers for this kind of model put the beginning token before every text unless a setting
        // says otherwise.
        if model == .sentencePieceBPE { addsBeginning = beginningID == nil ? nil : true }
    }

    /// Adds a token, or replaces the one with its id.
    private mutating func add(_ token: AddedToken, file: String) throws(CheckpointError) {
        guard token.id < 2 * tokens.count + 65536 else {
            throw CheckpointError(
                file: file,
                "the token '\(token.content)' has the number \(token.id.grouped) among \(tokens.count.grouped) tokens")
        }
        while tokens.count <= token.id {
            tokens.append(Vocabulary.placeholder(tokens.count))
            kinds.append(.unused)
            scores.append(Vocabulary.scoreOfNone)
        }
        tokens[token.id] = token.content
        if kinds[token.id] != .unknown { kinds[token.id] = token.special ? .control : .userDefined }
        scores[token.id] = Vocabulary.scoreOfAdded
        addedTokens.removeAll { $0.id == token.id }
        addedTokens.append(token)
    }

    /// The score that llama.cpp's converter writes for added tokens and for ids without a token.
    static let scoreOfAdded: Float = -1000
    static let scoreOfNone: Float = -10000

    /// Takes scores and kinds from the tokenizer.model that lies beside tokenizer.json, as llama.cpp's converter does.
    mutating func readScores(_ source: SentencePieceModel, settings: JSONObject) {
        scores = Array(repeating: Vocabulary.scoreOfNone, count: tokens.count)
        let count = min(source.pieces.count, tokens.count)
        for (id, piece) in source.pieces.prefix(count).enumerated() { scores[id] = piece.score }
        let listed = settings["added_tokens_decoder"]?.object
        keepsUnknownKind = kinds.firstIndex(of: .unknown).map { listed?[String($0)] == nil } ?? false
        for token in addedTokens where listed.map({ $0[String(token.id)] != nil }) ?? (token.id >= count) {
            scores[token.id] = Vocabulary.scoreOfAdded
        }
    }

    /// A token's text with spaces in place of SentencePiece's symbol.
    package static func withSpaces(_ text: String) -> String {
        guard text.containsBytes(of: spaceSymbol) else { return text }
        return String(String.UnicodeScalarView(text.unicodeScalars.map { $0 == "\u{2581}" ? " " : $0 }))
    }

    /// A token's text with SentencePiece's symbol in place of spaces.
    static func withSymbols(_ text: String) -> String {
        guard text.utf8.contains(0x20) else { return text }
        return String(String.UnicodeScalarView(text.unicodeScalars.map { $0 == " " ? "\u{2581}" : $0 }))
    }
}

extension Vocabulary.AddedToken {
    /// A token with the flags of an entry of tokenizer.json or tokenizer_config.json.
    init(id: Int, content: String, special: Bool, flags: JSON) {
        self.init(
            id: id, content: content, special: special || flags["special"] == .bool(true),
            stripsLeft: flags["lstrip"] == .bool(true), stripsRight: flags["rstrip"] == .bool(true),
            singleWord: flags["single_word"] == .bool(true), normalized: flags["normalized"] == .bool(true))
    }
}
