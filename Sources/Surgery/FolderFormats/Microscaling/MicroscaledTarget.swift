internal import Checkpoints
internal import Formats
internal import Kernels

/// Writes compressed-tensors' nvfp4-pack-quantized and mxfp4-pack-quantized formats, weights only.
struct MicroscaledTarget: QuantTarget {
    let scale: GroupScale
    private let globals = GlobalScales()

    /// A writer for one kind of group scale.
    init(_ scale: GroupScale) { self.scale = scale }

    func obstacle(_ shape: [Int]) -> String? {
        let size = scale.groupSize
        return shape[1] % size == 0 ? nil : "its row length \(shape[1]) is not a multiple of the group size \(size)"
    }

    func keepsCodes(of weight: Tensor) -> Bool { weight.recipe.microscaled?.weight.scale == scale }

    func parts(of weight: Tensor, in checkpoint: Checkpoint) throws(CheckpointError) -> [Tensor] {
        let module = String(weight.name.dropLast(".weight".count))
        if keepsCodes(of: weight), let (source, order) = weight.recipe.microscaled {
            return parts(of: source, module: module, order: order)
        }
        guard Codec.decodes(weight.dtype) else {
            throw CheckpointError(
                file: checkpoint.path, tensor: weight.name, "has the type \(weight.dtype), which cannot be decoded")
        }
        let rule = scale == .e4m3 ? .nvfp4(globals.scale(of: weight, in: checkpoint)) : RoundedMicroscales.Rule.mxfp4
        let rounded = RoundedMicroscales(source: weight, rule: rule, file: checkpoint.path)
        return parts(of: rounded, module: module, order: nil)
    }

    /// The tensors that store a weight with these codes and scales.
    private func parts(of weight: any MicroscaledWeight, module: String, order: RowMap?) -> [Tensor] {
        let shape = weight.shape
        var parts = [
            Tensor(
                name: module + ".weight_packed", dtype: .u8, shape: [shape[0], shape[1] / 2],
                recipe: .computed(MicroscaleRows(weight: weight, part: .codes)).ordered(order)),
            Tensor(
                name: module + ".weight_scale", dtype: scale == .e4m3 ? .e4m3 : .u8,
                shape: [shape[0], shape[1] / scale.groupSize],
                recipe: .computed(MicroscaleRows(weight: weight, part: .scales)).ordered(order)),
        ]
        if scale == .e4m3 {
            parts.append(
                Tensor(
                    name: module + ".weight_global_scale", dtype: .f32, shape: [1],
                    recipe: .computed(WholeScaleRows(weight: weight))))
        }
        return parts
    }

    func configure(_ checkpoint: inout Checkpoint, plain: PlainModules) {
        let format = scale == .e4m3 ? "nvfp4-pack-quantized" : "mxfp4-pack-quantized"
        let weights = JSONObject([
            ("num_bits", .int(4)), ("type", .string("float")), ("symmetric", .bool(true)),
            ("strategy", .string(scale == .e4m3 ? "tensor_group" : "group")), ("group_size", .int(scale.groupSize)),
            ("dynamic", .bool(false)), ("scale_dtype", .string(scale == .e4m3 ? "torch.float8_e4m3fn" : "torch.uint8")),
        ])
        let group = JSONObject([
            ("format", .string(format)), ("targets", .array([.string("Linear")])), ("weights", .object(weights)),
            ("input_activations", .null), ("output_activations", .null),
        ])
        checkpoint.config?["quantization_config"] = .object(
            JSONObject([
                ("quant_method", .string("compressed-tensors")), ("format", .string(format)),
                ("quantization_status", .string("compressed")), ("global_compression_ratio", .null),
                ("kv_cache_scheme", .null), ("ignore", plain.ignored),
                ("config_groups", .object(JSONObject([("group_0", .object(group))]))),
            ]))
    }
}

/// The codes [out, in/2] or the scales [out, in/group] of a weight, as bytes.
struct MicroscaleRows: RowSource {
    enum Part: String, Sendable { case codes, scales }

    let weight: any MicroscaledWeight
    let part: Part

    var description: String { "\(part.rawValue) of \(weight)" }

    func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        guard let bytes = output.bindMemory(to: UInt8.self).baseAddress else { return }
        switch part {
        case .codes: try weight.writeCodes(rows: rows, into: bytes)
        case .scales: try weight.writeScales(rows: rows, into: bytes)
        }
    }
}

/// The scale of a whole weight as a divisor, as in compressed-tensors: F32 [1].
struct WholeScaleRows: RowSource {
    let weight: any MicroscaledWeight

    var description: String { "the global scale of \(weight)" }

    func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        if rows.isEmpty { return }
        let divisor: Float =
            switch try weight.wholeScale() {
            case .none: 1
            case .divisor(let divisor): divisor
            case .multiplier(let factor): 1 / factor
            }
        output.copyBytes(from: divisor.littleEndianBytes)
    }
}
