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
        guard let companion = checkpoint.companion("tokenizer.json") else {
            let sentencePiece = checkpoint.companion("tokenizer.model") != nil
            throw CheckpointError(
                file: checkpoint.path, "the folder has no tokenizer.json",
                hint: sentencePiece
                    ? "tokenizer.model alone is not read; save the tokenizer with transformers first" : nil)
        }
        let path = checkpoint.path + "/tokenizer.json"
        let tokenizer = try FileSystem.json(companion.contents, path: path)
        try self.init(tokenizer: tokenizer, file: path)
        func object(_ name: String) throws(CheckpointError) -> JSONObject {
            guard let file = checkpoint.companion(name) else { return JSONObject() }
            return try FileSystem.json(file.contents, path: checkpoint.path + "/" + name)
        }
        let settings = try object("tokenizer_config.json")
        readSpecialTokens(
            settings, config: checkpoint.config ?? JSONObject(), generation: try object("generation_config.json"))
        try readPostProcessor(tokenizer["post_processor"], file: path)
        addsSpacePrefix = settings["add_prefix_space"]?.bool
        /// What tokenizer.json does counts, as for the tokenizers library and llama.cpp's converter.
        func flag(_ name: String, _ found: Bool?) -> Bool? {
            let stated = settings[name]?.bool
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
        // Without the token nothing is added, regardless of the flags.
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
}
