internal import Checkpoints
internal import Formats

/// Tensors outside the layers with a slice for each layer: per-layer embeddings and their projection.
struct LayerSlices {
    /// The cut.
    let layers: LayerCut
    /// The slice widths in the settings, by key.
    let widths: [String: Int]

    /// A tensor outside the layers after the cut.
    ///
    /// - Throws: when it has slices that cannot be removed.
    func apply(to tensor: Tensor) throws(CheckpointError) -> Tensor {
        guard layers.decoderCut > 0 else { return tensor }
        for slice in LayerSettings.known.slices {
            if ("." + tensor.name).hasSuffix("." + slice.tensor) { return try cut(tensor, slice) }
            let module = slice.tensor.dropLast(".weight".count)
            if ("." + tensor.name + ".").containsBytes(of: "." + module + ".") {
                throw refused(tensor, "is part of '\(module)', whose quantized weights cannot be sliced")
            }
        }
        for (key, width) in widths where width > 1 && tensor.name.containsBytes(of: "per_layer") {
            let (all, overflow) = width.multipliedReportingOverflow(by: layers.count)
            guard !overflow, tensor.shape.contains(all) else { continue }
            throw refused(
                tensor, "has a dimension of \(all), \(layers.count) times '\(key)', and resect has no rule for it")
        }
        return tensor
    }

    private func refused(_ tensor: Tensor, _ why: String) -> CheckpointError {
        CheckpointError(
            file: layers.file, tensor: tensor.name,
            why + ", so the layers \(layers.cut.text) cannot be cut")
    }

    private func cut(_ tensor: Tensor, _ slice: LayerSlice) throws(CheckpointError) -> Tensor {
        let length = (slice.isColumns ? tensor.shape.last : tensor.shape.first) ?? 0
        guard tensor.shape.count == 2, length > 0, length % layers.count == 0 else {
            throw refused(
                tensor, "has the shape \(tensor.shape), which has no slice for each of \(layers.count) layers")
        }
        let width = length / layers.count
        if let stated = widths[slice.width], stated != width {
            throw refused(tensor, "has slices of \(width) per layer, but '\(slice.width)' is \(stated)")
        }
        let kept = layers.keptRuns.map { $0.lowerBound * width..<$0.upperBound * width }
        var shape = tensor.shape
        if slice.isColumns {
            let block = tensor.dtype.blockCount
            guard kept.allSatisfy({ $0.lowerBound % block == 0 && $0.upperBound % block == 0 }) else {
                throw refused(
                    tensor, "is stored in blocks of \(block), but the slice of a layer has \(width) columns")
            }
            shape[1] = width * layers.countAfter
            return Tensor(
                name: tensor.name, dtype: tensor.dtype, shape: shape,
                recipe: .computed(ColumnSlices(source: tensor, columns: kept)))
        }
        shape[0] = width * layers.countAfter
        return Tensor(
            name: tensor.name, dtype: tensor.dtype, shape: shape,
            recipe: .computed(RowSlices(source: tensor, rows: kept)))
    }
}
