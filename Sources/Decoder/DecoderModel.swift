package import Checkpoints
internal import Formats
internal import Kernels
internal import Weights

/// A checkpoint that can be run: its numbers, and its tensors by role.
package struct DecoderModel: Sendable {
    /// The checkpoint, which may be virtual: a planned cut that nobody has written.
    package let checkpoint: Checkpoint
    /// Its numbers.
    package let configuration: ModelConfiguration
    /// Rows of the embedding.
    package let vocabularyCount: Int
    let embedding: Tensor
    let outputNorm: Norm
    /// What makes logits: a matrix of its own, or the embedding.
    let output: Linear
    let layers: [Layer]
    /// The sizes of every layer.
    let shape: LayerShape
    let rotary: Rotary

    /// The operations of one layer, with their tensors.
    struct Layer: Sendable {
        let attentionNorm: Norm
        let query, key, value, attentionOutput: Linear
        let feedForwardNorm: Norm
        let feedForward: FeedForward
    }

    /// Finds and checks every tensor that a forward pass needs.
    ///
    /// - Throws: when nobody has described the architecture, or a tensor is missing or has another shape.
    package init(_ checkpoint: Checkpoint) throws(CheckpointError) {
        try checkpoint.requireModel()
        guard let architecture = checkpoint.architecture else {
            if checkpoint.form == .safetensors {
                throw CheckpointError(
                    file: checkpoint.path, "has no configuration beside its tensors",
                    hint: "name the HF folder that it lies in")
            }
            throw checkpoint.unknownArchitecture(
                "so it cannot be run", hint: "inspect, cut --layers and quantize work all the same")
        }
        let numbers = try ModelConfiguration(checkpoint, architecture: architecture)
        guard numbers.layers > 0 else { throw CheckpointError(file: checkpoint.path, "has no layers") }
        let finder = TensorFinder(checkpoint, architecture)
        let embedding = try finder.required("token_embedding", columns: numbers.hidden)
        vocabularyCount = embedding.rowCount
        let epsilon = numbers.epsilon
        outputNorm = Norm(weight: try finder.required("output_norm", shape: [numbers.hidden]), epsilon: epsilon)
        // What config.json says decides, so that a lost tensor is not taken for one that was never there.
        let config = checkpoint.form == .folder ? checkpoint.config : nil
        let isTied = config?["tie_word_embeddings"]?.bool
        let head =
            isTied == true
            ? nil
            : try finder.optional("output", shape: [embedding.rowCount, numbers.hidden], isNeeded: isTied == false)
        output = Linear(head ?? embedding)
        let (attends, feeds) = (config?["attention_bias"]?.bool == true, config?["mlp_bias"]?.bool == true)
        self.embedding = embedding
        shape = LayerShape(numbers)
        let (queries, keys) = (shape.attention.queryWidth, shape.attention.keyWidth)
        let (hidden, ffn) = (numbers.hidden, numbers.ffn)
        var layers: [Layer] = []
        for layer in 0..<numbers.layers {
            func norm(_ role: String) throws(CheckpointError) -> Norm {
                Norm(weight: try finder.required(role, layer, shape: [hidden]), epsilon: epsilon)
            }
            layers.append(
                Layer(
                    attentionNorm: try norm("attention_norm"),
                    query: try finder.linear(.query, layer, [queries, hidden], hasBias: attends),
                    key: try finder.linear(.key, layer, [keys, hidden], hasBias: attends),
                    value: try finder.linear(.value, layer, [keys, hidden], hasBias: attends),
                    attentionOutput: try finder.linear(.attentionOutput, layer, [hidden, queries], hasBias: attends),
                    feedForwardNorm: try norm("ffn_norm"),
                    feedForward: FeedForward(
                        gate: try finder.linear(.gate, layer, [ffn, hidden], hasBias: feeds),
                        up: try finder.linear(.up, layer, [ffn, hidden], hasBias: feeds),
                        down: try finder.linear(.down, layer, [hidden, ffn], hasBias: feeds))))
        }
        self.layers = layers
        self.checkpoint = checkpoint
        configuration = numbers
        rotary = Rotary(
            frequencies: try numbers.frequencies(file: checkpoint.path), interleaves: numbers.interleaves)
    }
}

extension LayerShape {
    /// The sizes that every layer of a configuration has.
    fileprivate init(_ configuration: ModelConfiguration) {
        hidden = configuration.hidden
        attention = AttentionShape(
            heads: configuration.heads, keyHeads: configuration.keyValueHeads, headSize: configuration.headSize,
            window: configuration.window, scale: 1 / Float(configuration.headSize).squareRoot())
        feedForward = configuration.ffn
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

    /// A matrix, and its bias where the file has one.
    ///
    /// - Parameter hasBias: whether a missing bias is an error.
    func linear(
        _ role: ProductRole, _ layer: Int, _ shape: [Int], hasBias: Bool
    ) throws(CheckpointError) -> Linear {
        Linear(
            try required(role.rawValue, layer, shape: shape),
            bias: try optional(role.rawValue + "_bias", layer, shape: Array(shape.prefix(1)), isNeeded: hasBias))
    }
}
