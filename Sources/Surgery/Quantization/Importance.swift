public import Checkpoints
internal import Formats

/// An importance matrix for a checkpoint, which may have lost layers since it was measured.
public struct Importance: Sendable {
    /// What was measured.
    public let matrix: ImportanceMatrix
    /// The layers of the measured model that the checkpoint has lost.
    public let dropped: LayerRuns

    /// An importance matrix of the whole model, for what is left of it without some layers.
    public init(_ matrix: ImportanceMatrix, dropped: LayerRuns = LayerRuns()) {
        self.matrix = matrix
        self.dropped = dropped
    }

    /// An importance matrix of the whole model, for what is left of it without one run of layers.
    public init(_ matrix: ImportanceMatrix, dropped: Range<Int>) { self.init(matrix, dropped: LayerRuns([dropped])) }

    /// Holds the layers that were measured against those of the checkpoint.
    ///
    /// - Throws: when the numbers differ: every layer would be given the weights of another one.
    func check(_ checkpoint: Checkpoint) throws(CheckpointError) {
        func wrong(_ problem: String, hint: String) -> CheckpointError {
            CheckpointError(file: matrix.path, problem, hint: hint)
        }
        guard dropped.upperBound <= matrix.layerCount else {
            throw wrong(
                "has \(matrix.layerCount) layers, so \(dropped.texts.joined(separator: ",")) cannot have been cut",
                hint: "layers are counted from 0 in the model that was measured, the last one not included")
        }
        let layers = checkpoint.tensors.compactMap { LayerPattern.layer(ofGGUF: $0.name) }.max().map { $0 + 1 } ?? 0
        let left = matrix.layerCount - dropped.count
        // Layers that predict further tokens are not run when a matrix is measured.
        let predicting = checkpoint.metadata.setting("nextn_predict_layers")?.int ?? 0
        guard left <= layers, layers - left <= max(0, predicting) else {
            let less = dropped.isEmpty ? "" : " less the \(dropped.count) that were cut"
            throw wrong(
                "was measured on a model of \(matrix.layerCount) layers\(less); \(checkpoint.path) has \(layers)",
                hint: left > layers && dropped.isEmpty
                    ? "if layers of that model were cut, say which: --imatrix-dropped LIST"
                    : "measure one on the model that is quantized")
        }
    }

    /// What was measured for a tensor; `nil` when nothing was.
    ///
    /// - Throws: when it was measured on matrices of another width, but for embeddings, which llama-quantize then
    ///   encodes without weights.
    func entry(for tensor: Tensor) throws(CheckpointError) -> ImportanceMatrix.Entry? {
        guard tensor.count > 0, let entry = matrix.entry(measuredName(of: tensor.name)) else { return nil }
        let matrices = tensor.shape.dropLast(2).reduce(1, *)
        if entry.count == tensor.rowLength * matrices { return entry }
        if tensor.name == "token_embd.weight" || tensor.name == "per_layer_token_embd.weight" { return nil }
        throw CheckpointError(
            file: matrix.path, tensor: tensor.name,
            "was measured with \(entry.count.grouped) columns; it has \(tensor.rowLength.grouped)"
                + (matrices == 1 ? "" : " in each of \(matrices) matrices"),
            hint: "the importance matrix is of another model")
    }

    /// The name that a tensor had before the cut.
    private func measuredName(of name: String) -> String {
        guard let parts = LayerName(name, prefix: "blk.") else { return name }
        return parts.renumbered(dropped.original(of: parts.layer))
    }

    /// Writes what llama-quantize writes about it; of the path only the name, so that the bytes depend on nothing else.
    func record(in checkpoint: inout Checkpoint) {
        checkpoint.metadata["quantize.imatrix.file"] = .string(Importance.clipped(matrix.path.lastPathComponent))
        checkpoint.metadata["quantize.imatrix.dataset"] = matrix.datasets.first.map { .string(Importance.clipped($0)) }
        checkpoint.metadata["quantize.imatrix.entries_count"] = .u32(UInt32(matrix.count))
        let chunks = matrix.chunkCount
        checkpoint.metadata["quantize.imatrix.chunks_count"] = chunks > 0 ? .u32(UInt32(chunks)) : nil
        checkpoint.sources.append(matrix.source)
    }

    /// The beginning of a text that fits where llama-quantize keeps it.
    private static func clipped(_ text: String) -> String {
        var result = text.prefix { $0 != "\0" }
        while result.utf8.count > 127 { result.removeLast() }
        return String(result)
    }
}
