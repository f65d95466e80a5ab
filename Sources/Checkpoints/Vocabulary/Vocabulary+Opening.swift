internal import Formats

extension Vocabulary {
    /// The vocabulary that a checkpoint holds: a GGUF file's metadata, or the tokenizer files of an HF folder.
    ///
    /// - Throws: when there is none, or none that can be read.
    public init(checkpoint: Checkpoint) throws(CheckpointError) {
        if checkpoint.form == .gguf {
            try self.init(metadata: checkpoint.metadata, file: checkpoint.path)
            return
        }
        if checkpoint.form == .safetensors {
            throw CheckpointError(
                file: checkpoint.path, "has no tokenizer beside its tensors", hint: "name the HF folder that it lies in"
            )
        }
        guard let tokenizer = checkpoint.companion("tokenizer.json") else {
            let sentencePiece = checkpoint.companion("tokenizer.model") != nil
            throw CheckpointError(
                file: checkpoint.path, "the folder holds no tokenizer.json",
                hint: sentencePiece
                    ? "tokenizer.model alone is not read; save the tokenizer with transformers first" : nil)
        }
        let path = checkpoint.path + "/tokenizer.json"
        try self.init(tokenizer: try FileSystem.json(tokenizer.contents, path: path), file: path)
        var settings = JSONObject()
        if let file = checkpoint.companion("tokenizer_config.json") {
            settings = try FileSystem.json(file.contents, path: checkpoint.path + "/" + file.name)
        }
        readSettings(settings, config: checkpoint.config ?? JSONObject())
        if let template = checkpoint.companion("chat_template.jinja"), chatTemplate == nil {
            chatTemplate = String(decoding: template.contents, as: UTF8.self)
        }
    }

    /// Special tokens and defaults, from tokenizer_config.json and then from config.json.
    private mutating func readSettings(_ settings: JSONObject, config: JSONObject) {
        chatTemplate = settings["chat_template"]?.string
        addsSpacePrefix = settings["add_prefix_space"]?.bool
        addsBeginning = addsBeginning ?? settings["add_bos_token"]?.bool
        addsEnd = addsEnd ?? settings["add_eos_token"]?.bool
        func id(_ kind: String) -> Int? {
            let text = settings["\(kind)_token"]?.string ?? settings["\(kind)_token"]?["content"]?.string
            let name = text.map(ExactString.init)
            if let name, let token = addedTokens.first(where: { ExactString($0.content) == name }) { return token.id }
            guard let id = config["\(kind)_token_id"]?.int, id >= 0 else { return nil }
            return id
        }
        beginningID = id("bos")
        endID = id("eos")
        unknownID = id("unk")
        paddingID = id("pad")
        // transformers gives models of this size (Granite, SmolLM) no beginning token, and llama.cpp says so in the file.
        if config["vocab_size"]?.int == 49152 { addsBeginning = false }
    }
}
