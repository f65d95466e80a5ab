internal import Checkpoints
internal import Formats

/// From an HF folder to GGUF, with the metadata that llama.cpp's own converter writes.
struct ConvertToGGUF {
    private let source: Checkpoint
    private let architecture: Architecture
    private let config: JSONObject

    init(_ checkpoint: Checkpoint) throws(CheckpointError) {
        source = checkpoint
        architecture = try Convert.architecture(of: checkpoint)
        guard let config = checkpoint.config else {
            throw CheckpointError(file: checkpoint.path, "the folder holds no config.json")
        }
        self.config = config
    }

    private func number(_ key: String) throws(CheckpointError) -> Int {
        guard let value = config[key]?.int, value > 0, value <= UInt32.max else {
            throw CheckpointError(
                file: source.path + "/config.json", "'\(key)' is missing or no positive whole number")
        }
        return value
    }

    func result() throws(CheckpointError) -> Checkpoint {
        var result = source
        result.form = .gguf
        result.config = nil
        result.companions = []
        result.headerMetadata = nil
        result.tensors = try tensors()
        let vocabulary = try Vocabulary(checkpoint: source)
        result.metadata = try metadata(vocabulary, parameterCount: result.parameterCount)
        for text in vocabulary.notes + vocabulary.ggufNotes(file: source.path) { result.note(text) }
        return result
    }

    // MARK: tensors

    /// The tensors under their GGUF names, in GGUF's row orders.
    func tensors() throws(CheckpointError) -> [Tensor] {
        var result: [Tensor] = []
        if let frequencies = try RopeScaling(config: config, file: source.path)?
            .frequencyFactors(config, file: source.path)
        {
            result.append(frequencies)
        }
        for tensor in source.tensors where !tensor.name.hasSuffix(".rotary_emb.inv_freq") {
            result.append(try renamed(tensor))
        }
        return result
    }

    private func renamed(_ tensor: Tensor) throws(CheckpointError) -> Tensor {
        for names in architecture.tensors {
            guard let template = names.huggingFace, let gguf = names.gguf else { continue }
            let layer: Int?
            switch template.match(tensor.name) {
            case .none: continue
            case .whole: layer = nil
            case .layer(let number): layer = number
            }
            var result = tensor
            if let role = RotaryRole(names.role, architecture) {
                let heads = try number(
                    role == .key && config["num_key_value_heads"] != nil
                        ? "num_key_value_heads" : "num_attention_heads")
                result = try tensor.reordered(heads: heads, file: source.path) { .interleave(headSize: $0) }
            }
            result.name = gguf.name(layer: layer)
            return result
        }
        throw CheckpointError(
            file: source.path, tensor: tensor.name, "has no GGUF name in the architecture '\(architecture.name)'",
            hint: "resect formats --json lists the names that it has")
    }

    // MARK: metadata

    private func metadata(_ vocabulary: Vocabulary, parameterCount: Int) throws(CheckpointError) -> GGUFMetadata {
        var result = GGUFMetadata()
        result["general.architecture"] = .string(architecture.gguf)
        result["general.type"] = .string("model")
        try addSampling(to: &result)
        result["general.name"] = .string(name)
        result["general.size_label"] = .string(SizeLabel.text(parameterCount))
        try addSettings(to: &result)
        result["general.quantization_version"] = .u32(2)
        let pairs = try vocabulary.ggufPairs(
            vocabularySize: try vocabularySize(), architecture: architecture.gguf, file: source.path)
        for pair in pairs { result[pair.key] = pair.value }
        return result
    }

    /// `vocab_size`, which has to be the rows of the embedding: a placeholder is made for each without a token.
    private func vocabularySize() throws(CheckpointError) -> Int {
        let size = try number("vocab_size")
        let name = architecture.tensor(role: "token_embedding")?.huggingFace?.name(layer: nil)
        let rows = name.flatMap { source.tensor(named: $0)?.rowCount }
        guard rows == size else {
            throw CheckpointError(
                file: source.path + "/config.json",
                "'vocab_size' is \(size.grouped); the embedding has \(rows?.grouped ?? "no") rows")
        }
        return size
    }

    /// A name for the model: what the configuration calls it, else the folder's.
    private var name: String {
        let stated = config["_name_or_path"]?.string ?? ""
        return (stated.isEmpty ? source.path : stated).lastPathComponent
    }

    private func addSettings(to result: inout GGUFMetadata) throws(CheckpointError) {
        let rope = config["rope_parameters"]?.object ?? config["rope_scaling"]?.object
        var theta = config["rope_theta"]?.double ?? rope?["rope_theta"]?.double
        for key in architecture.keys {
            let ggufKey = "\(architecture.gguf).\(key.gguf)"
            switch (key.role, key.type) {
            case ("vocabulary", _), ("key_size", _), ("value_size", _): continue
            case ("rope_theta", _):
                try addScaling(to: &result)
                result[ggufKey] = try theta.map { (value) throws(CheckpointError) in try float(value, "rope_theta") }
                theta = nil
            case (_, "f32"):
                result[ggufKey] = try config[key.huggingFace]?.double.map { (value) throws(CheckpointError) in
                    try float(value, key.huggingFace)
                }
            case ("kv_heads", _) where config[key.huggingFace] == nil: continue
            default: result[ggufKey] = .u32(UInt32(try number(key.huggingFace)))
            }
        }
        let prefix = architecture.gguf
        let stated = config["head_dim"]?.int
        if stated != nil {
            let size = UInt32(try number("head_dim"))
            result["\(prefix).attention.key_length"] = .u32(size)
            result["\(prefix).attention.value_length"] = .u32(size)
        }
        result["general.file_type"] = .u32(0)
        result["\(prefix).vocab_size"] = .u32(UInt32(try number("vocab_size")))
        var headSize = try number("hidden_size") / number("num_attention_heads")
        if let stated { headSize = stated }
        result["\(prefix).rope.dimension_count"] = .u32(UInt32(headSize))
    }

    /// A number as GGUF stores it.
    private func float(_ value: Double, _ key: String) throws(CheckpointError) -> GGUFValue {
        guard Float(value).isFinite else {
            throw CheckpointError(
                file: source.path + "/config.json", "'\(key)' is \(value), more than the 32 bits of a GGUF file hold")
        }
        return .f32(Float(value))
    }

    private func addScaling(to result: inout GGUFMetadata) throws(CheckpointError) {
        guard let scaling = try RopeScaling(config: config, file: source.path) else { return }
        for pair in scaling.ggufPairs(prefix: architecture.gguf) { result[pair.key] = pair.value }
    }

    /// The sampling defaults of generation_config.json.
    private func addSampling(to result: inout GGUFMetadata) throws(CheckpointError) {
        guard let file = source.companion("generation_config.json") else { return }
        let generation = try FileSystem.json(file.contents, path: source.path + "/" + file.name)
        result["general.sampling.top_k"] = generation["top_k"]?.int.map { .i32(Int32(clamping: $0)) }
        for (key, gguf) in [("top_p", "top_p"), ("min_p", "min_p"), ("temperature", "temp")] {
            result["general.sampling." + gguf] = generation[key]?.double.map { .f32(Float($0)) }
        }
        let penalty = generation["penalty_repeat"] ?? generation["repetition_penalty"]
        result["general.sampling.penalty_repeat"] = penalty?.double.map { .f32(Float($0)) }
    }
}

/// A projection whose rows are rotated, and which heads it has.
enum RotaryRole {
    case query
    case key

    init?(_ role: String, _ architecture: Architecture) {
        let matrix = role.hasSuffix("_bias") ? String(role.dropLast(5)) : role
        guard architecture.permuted.contains(matrix) else { return nil }
        self = matrix == "attention_k" ? .key : .query
    }
}
