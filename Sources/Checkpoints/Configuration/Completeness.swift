package import Formats

extension Checkpoint {
    /// Checks that a model of a known architecture has every tensor that its settings require, with the right shape.
    ///
    /// A quantized weight counts as present when one part is; its parts are checked when it is decoded.
    ///
    /// - Throws: for the first tensor that is missing or has another shape.
    package func checkCompleteness() throws(CheckpointError) {
        // A file without tensors is a vocabulary.
        guard form != .safetensors, !tensors.isEmpty, let settings else { return }
        let finder = RoleFinder(self, settings)
        let layers = try settings.int(.layers)
        for role in settings.architecture.tensors where part(of: role) != nil {
            guard role.isPerLayer else {
                _ = try finder.find(role, layer: nil)
                continue
            }
            for layer in 0..<layers { _ = try finder.find(role, layer: layer) }
        }
        try checkTokens(settings)
    }

    /// Whether any layer has a tensor under a name of its architecture. A folder with other names can be cut and
    /// copied, and is not checked for missing tensors.
    package var hasKnownNames: Bool {
        guard form == .folder, let settings else { return true }
        let names = Set(tensors.map { ExactString($0.name) })
        let parts = settings.architecture.tensors.filter(\.isPerLayer).compactMap { part(of: $0) }
        return (0..<layerCount).contains { layer in
            parts.contains { $0.names.contains { names.contains(ExactString($0.name(layer: layer))) } }
        }
    }

    /// Checks that every token has a row of the embedding; there may be more rows than tokens.
    private func checkTokens(_ settings: Settings) throws(CheckpointError) {
        guard form == .gguf, let tokens = metadata["tokenizer.ggml.tokens"]?.array?.count else { return }
        let rows = try settings.int(.vocabulary)
        guard tokens <= rows else {
            throw CheckpointError(
                file: path, "has \(tokens.grouped) tokens in its vocabulary; the embedding has \(rows.grouped) rows")
        }
    }
}

/// Finds tensors by role and checks their shapes.
package struct RoleFinder {
    private let checkpoint: Checkpoint
    private let settings: Settings
    private let tensors: [ExactString: Int]
    /// The modules with at least one part: the names up to their last dot.
    private let modules: Set<ExactString>

    /// Looks through the tensors of a checkpoint once.
    package init(_ checkpoint: Checkpoint, _ settings: Settings) {
        self.checkpoint = checkpoint
        self.settings = settings
        var tensors: [ExactString: Int] = [:]
        var modules: Set<ExactString> = []
        for (index, tensor) in checkpoint.tensors.enumerated() {
            tensors[ExactString(tensor.name)] = index
            // A bias is not a part of a quantized weight.
            guard let dot = tensor.name.utf8.lastIndex(of: UInt8(ascii: ".")), !tensor.name.hasSuffix(".bias") else {
                continue
            }
            modules.insert(ExactString(String(tensor.name[..<dot])))
        }
        (self.tensors, self.modules) = (tensors, modules)
    }

    /// The stored tensor of a role; `nil` when the model has none or it is quantized.
    ///
    /// - Throws: when it is needed and missing, or has another shape.
    package func find(_ role: TensorRole, layer: Int?) throws(CheckpointError) -> Tensor? {
        guard let part = checkpoint.part(of: role) else { return nil }
        let tensor = try settings.stored(part, of: role, layer: layer, file: checkpoint.path) { name in
            tensors[ExactString(name)].map { checkpoint.tensors[$0] }
        }
        guard let tensor else {
            let name = part.name(layer: layer)
            var isNeeded = try settings.needs(role, layer: layer)
            if isNeeded == nil { isNeeded = try existsInAnyLayer(part) }
            guard isNeeded == true, !isQuantized(name) else { return nil }
            throw CheckpointError(file: checkpoint.path, tensor: name, "is missing")
        }
        guard !role.shape.isEmpty, isPlain(tensor) else { return tensor }
        var shape = try role.shape.map { (extent) throws(CheckpointError) in try settings.length(extent) }
        // A stored tensor with several roles has the rows of all.
        if !part.dims.isEmpty {
            let rows = try settings.grid(of: part).sizes.checkedProduct ?? -1
            // The grid of a stack has the rows of all its matrices.
            let (matrices, axis) = shape.count > 2 ? (shape[0], 1) : (1, 0)
            shape[axis] = rows % matrices == 0 ? rows / matrices : -1
        }
        if part.isTransposed { shape.reverse() }
        guard tensor.shape == shape else {
            throw CheckpointError(
                file: checkpoint.path, tensor: tensor.name,
                "has the shape \(tensor.shape); the configuration asks for \(shape)")
        }
        return tensor
    }

    /// Whether some layer has a tensor of a role, so that all need it.
    private func existsInAnyLayer(_ part: TensorPart) throws(CheckpointError) -> Bool {
        guard part.isPerLayer else { return false }
        return (0..<(try settings.int(.layers))).contains { layer in
            part.names.contains { tensors[ExactString($0.name(layer: layer))] != nil }
        }
    }

    /// Whether a tensor holds the values of a weight, not codes.
    private func isPlain(_ tensor: Tensor) -> Bool {
        let isFloat = ["F64", "F32", "F16", "BF16"].contains(tensor.dtype.name)
        // bitsandbytes keeps its codes in floats too, with `X.weight.absmax` beside them.
        return tensor.dtype.isQuantized || (isFloat && !modules.contains(ExactString(tensor.name)))
    }

    /// Whether another part of the module exists: `X.qweight` for `X.weight`.
    private func isQuantized(_ name: String) -> Bool {
        checkpoint.form == .folder && name.hasSuffix(".weight")
            && modules.contains(ExactString(String(name.dropLast(".weight".count))))
    }
}
