internal import Checkpoints
internal import Formats
internal import Kernels

/// Writes MLX's modes mxfp4 and nvfp4, as `mx.quantize` computes them on a CPU; includes embeddings and the output
/// matrix.
struct MLXMicroscaledTarget: QuantTarget {
    let scale: GroupScale

    func obstacle(_ shape: [Int]) -> String? { MicroscaledTarget(scale).obstacle(shape) }

    /// MLX has no scale of a whole weight.
    func keepsCodes(of weight: Tensor) throws(CheckpointError) -> Bool {
        guard let (source, _) = weight.recipe.microscaled, source.scale == scale else { return false }
        return try source.wholeScale().factor == 1
    }

    func parts(of weight: Tensor, in checkpoint: Checkpoint) throws(CheckpointError) -> [Tensor] {
        if try keepsCodes(of: weight), let (source, order) = weight.recipe.microscaled {
            return parts(of: source, module: String(weight.name.dropLast(".weight".count)), order: order)
        }
        guard Codec.decodes(weight.dtype) else {
            throw CheckpointError(
                file: checkpoint.path, tensor: weight.name, "has the type \(weight.dtype), which cannot be decoded")
        }
        let rounded = RoundedMicroscales(source: weight, rule: .mlx(scale), file: checkpoint.path)
        return parts(of: rounded, module: String(weight.name.dropLast(".weight".count)), order: nil)
    }

    private func parts(of weight: any MicroscaledWeight, module: String, order: RowMap?) -> [Tensor] {
        let shape = weight.shape
        func part(_ name: String, _ dtype: DType, _ columns: Int, _ part: MicroscaleRows.Part) -> Tensor {
            Tensor(
                name: module + name, dtype: dtype, shape: [shape[0], columns],
                recipe: .computed(MicroscaleRows(weight: weight, part: part)).ordered(order))
        }
        return [
            part(".weight", .u32, shape[1] / Nibbles.perWord, .codes),
            part(".scales", .u8, shape[1] / scale.groupSize, .scales),
        ]
    }

    func configure(_ checkpoint: inout Checkpoint, plain: PlainModules) {
        let mode = scale == .e4m3 ? "nvfp4" : "mxfp4"
        let settings = JSON.object(
            JSONObject([("group_size", .int(scale.groupSize)), ("bits", .int(4)), ("mode", .string(mode))]))
        checkpoint.config?["quantization"] = settings
        checkpoint.config?["quantization_config"] = settings
        // mlx-lm writes only this metadata.
        checkpoint.headerMetadata = JSONObject([("format", .string("mlx"))])
    }
}
