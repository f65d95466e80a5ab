internal import Formats

extension Vocabulary {
    /// The vocabulary of a checkpoint, from GGUF metadata or the tokenizer files of an HF folder.
    ///
    /// - Throws: when there is none, or it cannot be read.
    public init(checkpoint: Checkpoint) throws(CheckpointError) {
        if checkpoint.form == .gguf {
            try self.init(metadata: checkpoint.metadata, file: checkpoint.path)
            return
        }
        if checkpoint.form == .safetensors {
            throw CheckpointError(
                file: checkpoint.path, "has tensors without a tokenizer", hint: "give the HF folder that contains it"
            )
        }
        func object(_ name: String) throws(CheckpointError) -> JSONObject {
            guard let file = checkpoint.companion(name) else { return JSONObject() }
            return try FileSystem.json(file.contents, path: checkpoint.path + "/" + name)
        }
        let settings = try object("tokenizer_config.json")
        let pieces = try checkpoint.companion("tokenizer.model").flatMap {
            (file) throws(CheckpointError) -> SentencePieceModel? in
            try Vocabulary.sentencePiece(file, of: checkpoint)
        }
        let path = checkpoint.path + "/tokenizer.json"
        let tokenizer = try object("tokenizer.json")
        if checkpoint.companion("tokenizer.json") != nil {
            try self.init(tokenizer: tokenizer, file: path)
            if model == .sentencePieceBPE, let pieces { readScores(pieces, settings: settings) }
        } else if let pieces {
            let added = try object("added_tokens.json")
            try self.init(pieces, settings: settings, added: added, file: checkpoint.path + "/tokenizer.model")
        } else if let ranks = checkpoint.companion(Vocabulary.rankFile) {
            try self.init(ranks: ranks.contents, file: checkpoint.path + "/" + ranks.name)
        } else {
            throw CheckpointError(file: checkpoint.path, "the folder has no tokenizer.json and no tokenizer.model")
        }
        let own = (beginningID, endID, paddingID, unknownID)
        readSpecialTokens(
            settings, config: checkpoint.config ?? JSONObject(), generation: try object("generation_config.json"))
        (beginningID, endID, paddingID) = (beginningID ?? own.0, endID ?? own.1, paddingID ?? own.2)
        unknownID = unknownID ?? own.3
        try readPostProcessor(tokenizer["post_processor"], file: path)
        addsSpacePrefix = settings["add_prefix_space"]?.bool
        let isWithoutJSON = checkpoint.companion("tokenizer.json") == nil
        /// tokenizer.json takes precedence, as for the tokenizers library and llama.cpp's converter.
        func flag(_ name: String, _ found: Bool?) -> Bool? {
            let stated = settings[name]?.bool
            if isWithoutJSON { return stated ?? found }
            if let stated, let found, stated != found {
                notes.append(
                    "\(checkpoint.path): \(name) is \(stated) in tokenizer_config.json; tokenizer.json differs "
                        + "and takes precedence")
            }
            return found ?? stated
        }
        addsBeginning = flag("add_bos_token", addsBeginning)
        addsEnd = flag("add_eos_token", addsEnd)
        addsSeparator = flag("add_sep_token", addsSeparator)
        // Without a beginning token none is added, whatever the flags say.
        if beginningID == nil, addsBeginning == true { addsBeginning = false }
        if endID == nil, addsEnd == true { addsEnd = false }
        try readChatTemplates(of: checkpoint, settings: settings)
    }

    /// Special tokens: by their texts in tokenizer_config.json, else by their ids in config.json, where -1 and ids
    /// beyond the vocabulary mean none.
    private mutating func readSpecialTokens(_ settings: JSONObject, config: JSONObject, generation: JSONObject) {
        let count = max(tokens.count, config["vocab_size"]?.int ?? 0)
        func text(_ kind: String) -> String? {
            let token = settings["\(kind)_token"]
            let text = token?.string ?? token?["content"]?.string
            return text?.isEmpty == true ? nil : text
        }
        /// The ids in a configuration: one, or a list.
        func numbers(_ object: JSONObject, _ kind: String) -> [Int] {
            let key = "\(kind)_token_id"
            let nested = object["text_config"]?[key]
            let value = object[key].flatMap { $0 == .null ? nil : $0 } ?? nested
            return (value?.array ?? value.map { [$0] } ?? []).compactMap(\.int).filter { 0..<count ~= $0 }
        }
        func id(_ kind: String, insteadOf other: String? = nil) -> Int? {
            let name = text(kind) ?? other.flatMap(text)
            let content = name.map(ExactString.init)
            if let content, let token = addedTokens.first(where: { ExactString($0.content) == content }) {
                return token.id
            }
            if let number = numbers(config, kind).first { return number }
            return content.flatMap { content in tokens.firstIndex { ExactString($0) == content } }
        }
        beginningID = id("bos", insteadOf: "cls")
        endID = id("eos", insteadOf: "sep")
        unknownID = id("unk")
        paddingID = id("pad")
        separatorID = id("sep")
        maskID = id("mask")
        for number in numbers(config, "eos") + numbers(generation, "eos")
        where number != endID && !otherEndIDs.contains(number) {
            if endID == nil { endID = number } else { otherEndIDs.append(number) }
        }
    }

    /// The tokenizer.model of a folder; `nil` when it is of another kind: some families give that name to text.
    private static func sentencePiece(
        _ companion: Checkpoint.Companion, of checkpoint: Checkpoint
    ) throws(CheckpointError) -> SentencePieceModel? {
        let file = checkpoint.path + "/" + companion.name
        guard checkpoint.companion("tokenizer.json") != nil else {
            return try SentencePieceModel(companion.contents, file: file)
        }
        return try? SentencePieceModel(companion.contents, file: file)
    }
}
