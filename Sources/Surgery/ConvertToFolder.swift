internal import Checkpoints
internal import Formats

/// From GGUF to an HF folder (or its safetensors file alone), with a configuration that transformers loads.
struct ConvertToFolder {
    private let source: Checkpoint
    private let form: Checkpoint.Form
    private let architecture: Architecture

    init(_ checkpoint: Checkpoint, form: Checkpoint.Form) throws(CheckpointError) {
        source = checkpoint
        self.form = form
        architecture = try Convert.architecture(of: checkpoint)
    }

    private func number(_ key: String) throws(CheckpointError) -> Int {
        guard let value = source.metadata.setting(key)?.int, value > 0, value <= UInt32.max else {
            throw CheckpointError(
                file: source.path, "\(architecture.gguf).\(key) is missing or no positive whole number")
        }
        return value
    }

    func result() throws(CheckpointError) -> Checkpoint {
        var result = source
        result.form = form
        result.metadata = GGUFMetadata()
        result.headerMetadata = JSONObject([("format", .string("pt"))])
        result.tensors = []
        for tensor in source.tensors {
            if let tensor = try renamed(tensor) { result.tensors.append(tensor) }
        }
        guard form == .folder else { return result }
        var vocabulary = try Vocabulary(checkpoint: source)
        vocabulary.leaveOutUnknownMerges(of: source.path)
        result.config = try config(vocabulary)
        result.companions = try vocabulary.folderFiles(of: source.path)
        for text in vocabulary.notes { result.note(text) }
        result.companions.append(generation(vocabulary))
        return result
    }

    /// The tensor under its HF name; `nil` for one that HF keeps in the configuration.
    private func renamed(_ tensor: Tensor) throws(CheckpointError) -> Tensor? {
        for names in architecture.tensors {
            guard let template = names.gguf else { continue }
            let layer: Int?
            switch template.match(tensor.name) {
            case .none: continue
            case .whole: layer = nil
            case .layer(let number): layer = number
            }
            guard let target = names.huggingFace else { return nil }
            var result = tensor
            if let role = RotaryRole(names.role, architecture) {
                let heads = try role == .key ? keyValueHeads() : number("attention.head_count")
                result = try tensor.reordered(heads: heads, file: source.path) { .deinterleave(headSize: $0) }
            }
            result.name = target.name(layer: layer)
            return result
        }
        throw CheckpointError(
            file: source.path, tensor: tensor.name, "has no HF name in the architecture '\(architecture.name)'",
            hint: "resect formats --json lists the names that it has")
    }

    private func keyValueHeads() throws(CheckpointError) -> Int {
        let key = "attention.head_count_kv"
        return try source.metadata.setting(key) == nil ? number("attention.head_count") : number(key)
    }

    private func has(_ role: String) -> Bool {
        guard let template = architecture.tensor(role: role)?.gguf else { return false }
        return source.tensors.contains { template.match($0.name) != .none }
    }

    // MARK: config.json

    private func config(_ vocabulary: Vocabulary) throws(CheckpointError) -> JSONObject {
        let hidden = try number("embedding_length")
        let heads = try number("attention.head_count")
        let headSize = source.metadata.setting("attention.key_length")?.int ?? hidden / heads
        try RopeScaling.check(headSize: headSize, file: source.path)
        let theta = source.metadata.setting("rope.freq_base")?.double ?? 10000
        var result = JSONObject()
        result["architectures"] = .array([.string(architecture.classes.first ?? "")])
        result["attention_bias"] = .bool(has("attention_q_bias"))
        result["attention_dropout"] = .number("0.0")
        result["bos_token_id"] = vocabulary.beginningID.map(JSON.int)
        // The cast that follows writes the type that the weights get.
        result["dtype"] = .string("float32")
        result["eos_token_id"] = vocabulary.endTokens
        result["head_dim"] = .int(headSize)
        result["hidden_act"] = .string("silu")
        result["hidden_size"] = .int(hidden)
        result["initializer_range"] = .number("0.02")
        result["intermediate_size"] = .int(try number("feed_forward_length"))
        result["max_position_embeddings"] = .int(try number("context_length"))
        result["mlp_bias"] = .bool(has("ffn_gate_bias"))
        result["model_type"] = .string(architecture.modelType)
        result["num_attention_heads"] = .int(heads)
        result["num_hidden_layers"] = .int(try number("block_count"))
        result["num_key_value_heads"] = .int(try keyValueHeads())
        result["pad_token_id"] = vocabulary.paddingID.map(JSON.int)
        result["pretraining_tp"] = .int(1)
        guard let epsilon = source.metadata.setting("attention.layer_norm_rms_epsilon")?.double else {
            throw CheckpointError(file: source.path, "has no attention.layer_norm_rms_epsilon")
        }
        result["rms_norm_eps"] = .double(shortest(epsilon))
        let factors = try source.ropeFactors()
        let frequencies = RopeScaling.frequencies(headSize: headSize, theta: theta)
        let scaling = try RopeScaling(
            metadata: source.metadata, factors: factors, frequencies: frequencies, file: source.path)
        result["rope_scaling"] = scaling?.config ?? .null
        result["rope_theta"] = .double(shortest(theta))
        result["tie_word_embeddings"] = .bool(!has("output"))
        result["use_cache"] = .bool(true)
        result["vocab_size"] = .int(
            source.metadata.setting("vocab_size")?.int ?? vocabulary.tokens.count)
        return result
    }

    /// A number stored in f32, in its shortest text: 1e-05 and not 9.999999747378752e-06.
    private func shortest(_ value: Double) -> Double { Double("\(Float(value))") ?? value }

    /// generation_config.json with the special tokens and the sampling defaults that the file names.
    private func generation(_ vocabulary: Vocabulary) -> Checkpoint.Companion {
        var result = JSONObject([("_from_model_config", .bool(true))])
        result["bos_token_id"] = vocabulary.beginningID.map(JSON.int)
        result["eos_token_id"] = vocabulary.endTokens
        result["pad_token_id"] = vocabulary.paddingID.map(JSON.int)
        for (key, gguf) in [("temperature", "temp"), ("top_p", "top_p"), ("min_p", "min_p")] {
            let value = source.metadata["general.sampling." + gguf]?.double
            result[key] = value.map { .double(shortest($0)) }
        }
        result["top_k"] = source.metadata["general.sampling.top_k"]?.int.map(JSON.int)
        return Checkpoint.Companion(
            name: "generation_config.json", contents: Array(JSON.object(result).pretty.utf8))
    }
}
