internal import Checkpoints
internal import Formats

/// Which tensors of a folder are the weights of Linears, by their names and shapes.
struct LinearModules {
    private let layers: [LayerPattern]
    private let embedding: String?
    private let output: String?

    /// Finds the layers of the language model.
    ///
    /// - Throws: when it cannot be told which numbered tensors are the layers, or a layer is missing.
    init(_ checkpoint: Checkpoint) throws(CheckpointError) {
        layers = try checkpoint.languageLayers()
        embedding = checkpoint.name(ofRole: "token_embedding")
        output = checkpoint.name(ofRole: "output")
    }

    /// Whether no tensor is of a layer.
    var hasNoLayers: Bool { layers.isEmpty }

    /// What a matrix is to the forms.
    enum Kind {
        /// A Linear of a layer.
        case linear
        /// The embedding of tokens.
        case embedding
        /// The matrix that makes logits.
        case output
        /// A Linear that stays plain: a router, or something outside the layers.
        case other
    }

    /// What a tensor is; `nil` for what is no matrix.
    func kind(of tensor: Tensor) -> Kind? {
        guard tensor.shape.count == 2, tensor.count > 0, tensor.name.hasSuffix(".weight") else { return nil }
        let names = ModuleKinds.known, module = String(tensor.name.dropLast(".weight".count))
        if tensor.name == embedding || ModuleKinds.isNamed(module, names.embeddings) { return .embedding }
        if tensor.name == output || names.outputs.contains(module) { return .output }
        let isLinear = !ModuleKinds.isNamed(module, names.routers) && !names.small.contains(where: module.containsBytes)
        return isInLayers(tensor) && isLinear ? .linear : .other
    }

    /// Whether a form packs a tensor, if its rows fit.
    func isQuantized(_ tensor: Tensor, withEmbeddings: Bool) -> Bool {
        switch kind(of: tensor) {
        case .linear: true
        case .embedding, .output: withEmbeddings
        case .other, nil: false
        }
    }

    /// The module of a matrix that stays plain, as configurations name it; `nil` for embeddings and for what is no matrix.
    func plainModule(_ tensor: Tensor) -> String? {
        if isStack(tensor) {
            let dot = tensor.name.utf8.lastIndex(of: UInt8(ascii: "."))
            return dot.map { String(tensor.name[..<$0]) }
        }
        guard let kind = kind(of: tensor), kind != .embedding else { return nil }
        return String(tensor.name.dropLast(".weight".count))
    }

    /// Whether a tensor is one of a layer.
    private func isInLayers(_ tensor: Tensor) -> Bool { layers.contains { $0.layer(of: tensor.name) != nil } }

    /// Whether a tensor is a stack of matrices, one for each expert of a layer.
    func isStack(_ tensor: Tensor) -> Bool {
        tensor.shape.count == 3 && tensor.shape.allSatisfy { $0 > 1 } && Cast.isWeight(tensor)
            && isInLayers(tensor) && !tensor.name.containsBytes(of: "conv")
    }

    /// Refuses weights whose rows are inputs, as in GPT-2's Conv1D: their biases show it, and the forms pack rows of
    /// outputs.
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
                    + "\(type.rawValue) packs rows of outputs")
        }
    }
}

extension Checkpoint {
    /// The name of the module that makes logits.
    var outputModule: String {
        name(ofRole: "output").map { String($0.dropLast(".weight".count)) } ?? ModuleKinds.known.outputs[0]
    }

    /// The name that the tensor of a role outside the layers has in a folder.
    fileprivate func name(ofRole role: String) -> String? {
        architecture?.tensor(role: role)?.huggingFace?.name(layer: nil)
    }
}
