package import Checkpoints
internal import Formats
internal import Kernels

/// A checkpoint that can be run: its numbers, and its tensors by role.
package struct DecoderModel: Sendable {
    /// The checkpoint, which may be virtual: a planned cut that nobody has written.
    package let checkpoint: Checkpoint
    /// Its numbers.
    package let configuration: ModelConfiguration
    /// Rows of the embedding.
    package let vocabularyCount: Int
    let embedding: Tensor
    let outputNorm: Tensor
    /// The matrix that makes logits: its own, or the embedding.
    let output: Tensor
    let layers: [Layer]
    /// The rotary frequencies in radians for each position.
    let frequencies: [Double]

    /// The tensors of one layer; biases are rare.
    struct Layer: Sendable {
        let attentionNorm, query, key, value, attentionOutput: Tensor
        let ffnNorm, gate, up, down: Tensor
        let queryBias, keyBias, valueBias, attentionOutputBias, gateBias, upBias, downBias: Tensor?
    }

    /// Finds and checks every tensor that a forward pass needs.
    ///
    /// - Throws: when nobody has described the architecture, or a tensor is missing or has another shape.
    package init(_ checkpoint: Checkpoint) throws(CheckpointError) {
        guard let architecture = checkpoint.architecture else {
            if checkpoint.form == .safetensors {
                throw CheckpointError(
                    file: checkpoint.path, "has no configuration beside its tensors",
                    hint: "name the HF folder that it lies in")
            }
            let name = checkpoint.architectureName.map { "'\($0)'" } ?? "of an unknown kind"
            throw CheckpointError(
                file: checkpoint.path, "the architecture \(name) has no description, so it cannot be run",
                hint: "inspect, cut --layers and quantize work without one; described: "
                    + Architecture.all.map(\.name).joined(separator: " "))
        }
        let numbers = try ModelConfiguration(checkpoint, architecture: architecture)
        guard numbers.layers > 0 else { throw CheckpointError(file: checkpoint.path, "has no layers") }
        let finder = TensorFinder(checkpoint, architecture)
        let embedding = try finder.required("token_embedding", columns: numbers.hidden)
        vocabularyCount = embedding.rowCount
        outputNorm = try finder.required("output_norm", shape: [numbers.hidden])
        // What config.json says decides, so that a lost tensor is not taken for one that was never there.
        let config = checkpoint.form == .folder ? checkpoint.config : nil
        let isTied = config?["tie_word_embeddings"]?.bool
        output =
            isTied == true
            ? embedding
            : try finder.optional(
                "output", shape: [embedding.rowCount, numbers.hidden], isNeeded: isTied == false) ?? embedding
        let (attends, feeds) = (config?["attention_bias"]?.bool == true, config?["mlp_bias"]?.bool == true)
        self.embedding = embedding
        var layers: [Layer] = []
        let (wide, narrow) = (numbers.heads * numbers.headSize, numbers.keyValueHeads * numbers.headSize)
        let (hidden, ffn) = (numbers.hidden, numbers.ffn)
        for layer in 0..<numbers.layers {
            layers.append(
                Layer(
                    attentionNorm: try finder.required("attention_norm", layer, shape: [hidden]),
                    query: try finder.required("attention_q", layer, shape: [wide, hidden]),
                    key: try finder.required("attention_k", layer, shape: [narrow, hidden]),
                    value: try finder.required("attention_v", layer, shape: [narrow, hidden]),
                    attentionOutput: try finder.required("attention_output", layer, shape: [hidden, wide]),
                    ffnNorm: try finder.required("ffn_norm", layer, shape: [hidden]),
                    gate: try finder.required("ffn_gate", layer, shape: [ffn, hidden]),
                    up: try finder.required("ffn_up", layer, shape: [ffn, hidden]),
                    down: try finder.required("ffn_down", layer, shape: [hidden, ffn]),
                    queryBias: try finder.optional("attention_q_bias", layer, shape: [wide], isNeeded: attends),
                    keyBias: try finder.optional("attention_k_bias", layer, shape: [narrow], isNeeded: attends),
                    valueBias: try finder.optional("attention_v_bias", layer, shape: [narrow], isNeeded: attends),
                    attentionOutputBias: try finder.optional(
                        "attention_output_bias", layer, shape: [hidden], isNeeded: attends),
                    gateBias: try finder.optional("ffn_gate_bias", layer, shape: [ffn], isNeeded: feeds),
                    upBias: try finder.optional("ffn_up_bias", layer, shape: [ffn], isNeeded: feeds),
                    downBias: try finder.optional("ffn_down_bias", layer, shape: [hidden], isNeeded: feeds)))
        }
        self.layers = layers
        self.checkpoint = checkpoint
        configuration = numbers
        frequencies = try numbers.frequencies(file: checkpoint.path)
    }
}

/// Finds tensors by role and holds them to the shape that the numbers ask for.
private struct TensorFinder {
    private let checkpoint: Checkpoint
    private let architecture: Architecture
    private let tensors: [ExactString: Tensor]

    init(_ checkpoint: Checkpoint, _ architecture: Architecture) {
        self.checkpoint = checkpoint
        self.architecture = architecture
        tensors = Dictionary(checkpoint.tensors.map { (ExactString($0.name), $0) }) { first, _ in first }
    }

    private func find(_ role: String, _ layer: Int?) -> (name: String, tensor: Tensor?) {
        let names = architecture.tensor(role: role)
        guard let template = checkpoint.form == .gguf ? names?.gguf : names?.huggingFace else { return (role, nil) }
        let name = template.name(layer: layer)
        return (name, tensors[ExactString(name)])
    }

    private func check(_ tensor: Tensor, _ shape: [Int]) throws(CheckpointError) {
        guard tensor.shape == shape else {
            throw CheckpointError(
                file: checkpoint.path, tensor: tensor.name,
                "has the shape \(tensor.shape); the configuration asks for \(shape)")
        }
        guard Codec.decodes(tensor.dtype) else {
            throw CheckpointError(
                file: checkpoint.path, tensor: tensor.name, "has the type \(tensor.dtype), which cannot be decoded")
        }
    }

    func required(_ role: String, _ layer: Int? = nil, shape: [Int]) throws(CheckpointError) -> Tensor {
        let (name, tensor) = find(role, layer)
        guard let tensor else { throw CheckpointError(file: checkpoint.path, tensor: name, "is missing") }
        try check(tensor, shape)
        return tensor
    }

    func required(_ role: String, columns: Int) throws(CheckpointError) -> Tensor {
        let (name, tensor) = find(role, nil)
        guard let tensor else { throw CheckpointError(file: checkpoint.path, tensor: name, "is missing") }
        try check(tensor, [tensor.rowCount, columns])
        return tensor
    }

    func optional(
        _ role: String, _ layer: Int? = nil, shape: [Int], isNeeded: Bool
    ) throws(CheckpointError) -> Tensor? {
        if isNeeded { return try required(role, layer, shape: shape) }
        guard let tensor = find(role, layer).tensor else { return nil }
        try check(tensor, shape)
        return tensor
    }
}
