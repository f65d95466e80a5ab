public import Checkpoints
internal import Formats

/// An importance matrix for a checkpoint, from which layers may have been cut since the measurement.
public struct Importance: Sendable {
    /// The importance matrix.
    public let matrix: ImportanceMatrix
    /// Layers that were cut after the importance matrix was measured.
    public let dropped: LayerRuns

    /// An importance matrix of a model from which these layers were cut.
    public init(_ matrix: ImportanceMatrix, dropped: LayerRuns = LayerRuns()) {
        self.matrix = matrix
        self.dropped = dropped
    }

    /// An importance matrix of a model from which one run of layers was cut.
    public init(_ matrix: ImportanceMatrix, dropped: Range<Int>) { self.init(matrix, dropped: LayerRuns([dropped])) }

    /// The same after a later cut of the model.
    public func dropping(_ layers: LayerRuns) -> Importance { Importance(matrix, dropped: layers.following(dropped)) }

    /// Compares the number of measured layers with that of the checkpoint.
    ///
    /// - Throws: when they differ, since layers would get the importance of other layers.
    func check(_ checkpoint: Checkpoint) throws(CheckpointError) {
        func wrong(_ problem: String, hint: String) -> CheckpointError {
            CheckpointError(file: matrix.path, problem, hint: hint)
        }
        guard dropped.upperBound <= matrix.layerCount else {
            throw wrong(
                "has \(matrix.layerCount) layers, so \(dropped.texts.joined(separator: ",")) cannot have been cut",
                hint: "A:B counts from 0 in the measured model and excludes layer B")
        }
        let layers = checkpoint.tensors.compactMap { LayerPattern.layer(ofGGUF: $0.name) }.max().map { $0 + 1 } ?? 0
        let left = matrix.layerCount - dropped.count
        // Layers for multi-token prediction are not run during the measurement.
        let predicting = checkpoint.metadata.setting("nextn_predict_layers")?.int ?? 0
        guard left <= layers, layers - left <= max(0, predicting) else {
            let less = dropped.isEmpty ? "" : " minus the \(dropped.count) that were cut"
            throw wrong(
                "was measured on a model of \(matrix.layerCount) layers\(less); \(checkpoint.path) has \(layers)",
                hint: left > layers && dropped.isEmpty
                    ? "if layers were cut from that model, name them: --imatrix-dropped LIST"
                    : "measure an importance matrix on this model")
        }
    }

    /// The importance of the columns of a tensor; `nil` when it was not measured.
    ///
    /// - Throws: when the measured width differs, except for embeddings, which llama-quantize then encodes without
    ///   importance.
    func entry(for tensor: Tensor) throws(CheckpointError) -> ImportanceMatrix.Entry? {
        guard tensor.count > 0, let entry = matrix.entry(measuredName(of: tensor.name)) else { return nil }
        let matrices = tensor.shape.dropLast(2).reduce(1, *)
        if entry.count == tensor.rowLength * matrices { return entry }
        if tensor.name == "token_embd.weight" || tensor.name == "per_layer_token_embd.weight" { return nil }
        throw CheckpointError(
            file: matrix.path, tensor: tensor.name,
            "was measured with \(entry.count.grouped) columns; it has \(tensor.rowLength.grouped)"
                + (matrices == 1 ? "" : " in each of \(matrices) matrices"),
            hint: "the importance matrix was measured on another model")
    }

    /// The name of a tensor before the cut.
    private func measuredName(of name: String) -> String {
        guard let parts = LayerName(name, prefix: "blk.") else { return name }
        return parts.renumbered(dropped.original(of: parts.layer))
    }

    /// Adds the metadata that llama-quantize writes, with the file name instead of the path, so that the output does
    /// not depend on folders.
    func record(in checkpoint: inout Checkpoint) {
        checkpoint.metadata["quantize.imatrix.file"] = .string(Importance.clipped(matrix.path.lastPathComponent))
        checkpoint.metadata["quantize.imatrix.dataset"] = matrix.datasets.first.map { .string(Importance.clipped($0)) }
        checkpoint.metadata["quantize.imatrix.entries_count"] = .u32(UInt32(matrix.count))
        let chunks = matrix.chunkCount
        checkpoint.metadata["quantize.imatrix.chunks_count"] = chunks > 0 ? .u32(UInt32(chunks)) : nil
        checkpoint.sources.append(matrix.source)
    }

    /// A text, cut to the length of llama-quantize's buffer.
    private static func clipped(_ text: String) -> String {
        var result = text.prefix { $0 != "\0" }
        while result.utf8.count > 127 { result.removeLast() }
        return String(result)
    }
}

extension ImportanceMatrix {
    /// A note about tensors that are not in the importance matrix; `nil` when there are none.
    public func note(unmeasured tensors: [String]) -> String? {
        guard let first = tensors.first else { return nil }
        let shown = tensors.prefix(3).joined(separator: ", ") + (tensors.count > 3 ? ", …" : "")
        let which = tensors.count == 1 ? first : "\(tensors.count) tensors (\(shown))"
        return "\(which): no entry in \(path), so all columns get equal weight"
    }
}
