internal import Checkpoints
internal import Formats

/// Finds the weights of linear layers in a folder by their names and shapes.
struct LinearModules {
    private let layers: [LayerPattern]
    private let embedding: String?
    private let output: String?

    /// Finds the layers of the language model.
    ///
    /// - Throws: when it is unclear which numbered tensors are the layers, or a layer is missing.
    init(_ checkpoint: Checkpoint) throws(CheckpointError) {
        layers = try checkpoint.languageLayers()
        embedding = checkpoint.name(ofRole: "token_embedding")
        output = checkpoint.name(ofRole: "output")
    }

    /// Whether the folder has no layers.
    var hasNoLayers: Bool { layers.isEmpty }

    /// The role of a matrix in quantization.
    enum Kind {
        /// A linear map in a layer.
        case linear
        /// The token embedding.
        case embedding
        /// The output matrix, which computes logits.
        case output
        /// A matrix that stays unquantized: a router, or one outside the layers.
        case other
    }

    /// The kind of a tensor; `nil` when it is not a matrix.
    func kind(of tensor: Tensor) -> Kind? {
        guard tensor.shape.count == 2, tensor.count > 0, tensor.name.hasSuffix(".weight") else { return nil }
        let names = ModuleKinds.known, module = String(tensor.name.dropLast(".weight".count))
        if tensor.name == embedding || ModuleKinds.isNamed(module, names.embeddings) { return .embedding }
        if tensor.name == output || names.outputs.contains(module) { return .output }
        let isLinear = !ModuleKinds.isNamed(module, names.routers) && !names.small.contains(where: module.containsBytes)
        return isInLayers(tensor) && isLinear ? .linear : .other
    }

    /// Whether to quantize a tensor, if its row length allows it.
    func isQuantized(_ tensor: Tensor, withEmbeddings: Bool) -> Bool {
        switch kind(of: tensor) {
        case .linear: true
        case .embedding, .output: withEmbeddings
        case .other, nil: false
        }
    }

    /// The module name of a matrix that stays unquantized, for configurations; `nil` for embeddings and other tensors.
    func plainModule(_ tensor: Tensor) -> String? {
        if isStack(tensor) {
            let dot = tensor.name.utf8.lastIndex(of: UInt8(ascii: "."))
            return dot.map { String(tensor.name[..<$0]) }
        }
        guard let kind = kind(of: tensor), kind != .embedding else { return nil }
        return String(tensor.name.dropLast(".weight".count))
    }

    /// Whether a tensor belongs to a layer.
    private func isInLayers(_ tensor: Tensor) -> Bool { layers.contains { $0.layer(of: tensor.name) != nil } }

    /// Whether a tensor is a stack of matrices, one for each expert of a layer.
    func isStack(_ tensor: Tensor) -> Bool {
        tensor.shape.count == 3 && tensor.shape.allSatisfy { $0 > 1 } && Cast.isWeight(tensor)
            && isInLayers(tensor) && !tensor.name.containsBytes(of: "conv")
    }

    /// Refuses weights whose rows are inputs, as in GPT-2's Conv1D, which the length of the bias shows: the formats
    /// quantize rows of outputs.
    func checkRows(of checkpoint: Checkpoint, for type: FolderType) throws(CheckpointError) {
        var biases: [ExactString: Int] = [:]
        for tensor in checkpoint.tensors where tensor.shape.count == 1 && tensor.name.hasSuffix(".bias") {
            biases[ExactString(String(tensor.name.dropLast(".bias".count)))] = tensor.count
        }
        for tensor in checkpoint.tensors where kind(of: tensor) == .linear {
            let bias = biases[ExactString(String(tensor.name.dropLast(".weight".count)))]
            guard let bias, bias != tensor.shape[0], bias == tensor.shape[1] else { continue }
            throw CheckpointError(
                file: checkpoint.path, tensor: tensor.name,
                "has \(tensor.shape[0].grouped) rows and a bias of \(bias.grouped): its rows are inputs (Conv1D), and "
                    + "\(type.rawValue) quantizes rows of outputs")
        }
    }
}

extension Checkpoint {
    /// The name of the output module.
    var outputModule: String {
        name(ofRole: "output").map { String($0.dropLast(".weight".count)) } ?? ModuleKinds.known.outputs[0]
    }

    /// The name in a folder of a tensor outside the layers, by role.
    fileprivate func name(ofRole role: String) -> String? {
        architecture?.tensor(role: role)?.huggingFace?.name(layer: nil)
    }
}
