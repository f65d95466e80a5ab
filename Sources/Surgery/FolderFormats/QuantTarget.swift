internal import Checkpoints
internal import Formats
internal import Kernels

/// A writer of a quantized format.
protocol QuantTarget: Sendable {
    /// Why a weight of this shape cannot be quantized; `nil` when it can.
    func obstacle(_ shape: [Int]) -> String?
    /// Whether the parts reuse the codes and scales of an already quantized weight.
    func keepsCodes(of weight: Tensor) throws(CheckpointError) -> Bool
    /// The tensors that store a weight, in the order of the original writer. `weight` is named X.weight; the names of
    /// the parts begin with X.
    func parts(of weight: Tensor, in checkpoint: Checkpoint) throws(CheckpointError) -> [Tensor]
    /// Adds the quantization settings to the configuration and companions. `plain`: modules that stay unquantized.
    func configure(_ checkpoint: inout Checkpoint, plain: PlainModules) throws(CheckpointError)
}

extension QuantTarget {
    func keepsCodes(of weight: Tensor) -> Bool { false }
}

/// A format of four-bit integers in groups; it can take over the codes of another one.
protocol GroupedTarget: QuantTarget {
    /// Number of elements in a group.
    var groupSize: Int { get }
    /// Zero points that this format can store; `nil` for formats with float biases.
    var zeroPoints: ClosedRange<Int>? { get }
    /// Types that the scales can have.
    var scaleTypes: [DType] { get }
    /// How a weight of this type is rounded.
    func rounding(_ dtype: DType) -> GroupRounding
    /// The tensors that store a weight with these codes, scales and zero points.
    func parts(of weight: any GroupedWeight, module: String) -> [Tensor]
}

extension GroupedTarget {
    func parts(of weight: Tensor, in checkpoint: Checkpoint) throws(CheckpointError) -> [Tensor] {
        try parts(of: weight, as: weight.dtype, in: checkpoint)
    }

    /// The tensors that store a weight. `dtype` is the model's type, which differs from the weight's when that was
    /// dequantized to f32.
    func parts(
        of weight: Tensor, as dtype: DType, in checkpoint: Checkpoint
    ) throws(CheckpointError) -> [Tensor] {
        guard Codec.decodes(weight.dtype) else {
            throw CheckpointError(
                file: checkpoint.path, tensor: weight.name, "has the type \(weight.dtype), which cannot be decoded")
        }
        let rounded = RoundedWeight(source: weight, rounding: rounding(dtype), file: checkpoint.path)
        return parts(of: rounded, module: String(weight.name.dropLast(".weight".count)))
    }

    func obstacle(_ shape: [Int]) -> String? { groupObstacle(shape) }

    func groupObstacle(_ shape: [Int]) -> String? {
        guard shape[1] % groupSize != 0 else { return nil }
        let possible = [64, 32].first { $0 < groupSize && shape[1] % $0 == 0 }
        return "its row length \(shape[1]) is not a multiple of the group size \(groupSize)"
            + (possible.map { ", but of \($0)" } ?? "")
    }
}

/// Writes compressed-tensors' pack-quantized format, W4A16.
struct CompressedTensorsTarget: GroupedTarget {
    let groupSize: Int
    let isSymmetric: Bool
    var zeroPoints: ClosedRange<Int>? { isSymmetric ? 8...8 : 0...15 }
    let scaleTypes: [DType] = [.bf16, .f16, .f32]

    func rounding(_ dtype: DType) -> GroupRounding {
        GroupRounding(
            .compressedTensors(symmetric: isSymmetric), size: groupSize,
            scaleType: scaleTypes.contains(dtype) ? dtype : .bf16)
    }

    func parts(of weight: any GroupedWeight, module: String) -> [Tensor] {
        let layout = weight.layout
        let shape = [layout.rows, layout.columns].flatMap { number in
            withUnsafeBytes(of: Int64(number).littleEndian) { Array($0) }
        }
        var parts = [
            Tensor(
                name: module + ".weight_packed", dtype: .i32,
                shape: [layout.rows, layout.columns / Nibbles.perWord], recipe: .computed(CodeWords(weight: weight))),
            Tensor(
                name: module + ".weight_scale", dtype: layout.scaleType, shape: [layout.rows, layout.groups],
                recipe: .computed(
                    ScaleRows(weight: weight, kind: .scales, dtype: layout.scaleType, isTransposed: false))),
            Tensor(
                name: module + ".weight_shape", dtype: .i64, shape: [2],
                recipe: .computed(KnownBytes(bytes: shape, rowByteCount: shape.count))),
        ]
        if !isSymmetric {
            let zeroPoints = ZeroPointWords(weight: weight, order: Array(0..<8), less: 0, isTransposed: false)
            parts.append(
                Tensor(
                    name: module + ".weight_zero_point", dtype: .i32,
                    shape: [(layout.rows + 7) / Nibbles.perWord, layout.groups], recipe: .computed(zeroPoints)))
        }
        return parts
    }

    func configure(_ checkpoint: inout Checkpoint, plain: PlainModules) {
        let weights = JSONObject([
            ("num_bits", .int(4)), ("type", .string("int")), ("symmetric", .bool(isSymmetric)),
            ("strategy", .string("group")), ("group_size", .int(groupSize)), ("dynamic", .bool(false)),
            ("actorder", .null),
        ])
        let group = JSONObject([
            ("targets", .array([.string("Linear")])), ("weights", .object(weights)), ("input_activations", .null),
            ("output_activations", .null),
        ])
        checkpoint.config?["quantization_config"] = .object(
            JSONObject([
                ("quant_method", .string("compressed-tensors")), ("format", .string("pack-quantized")),
                ("quantization_status", .string("compressed")), ("global_compression_ratio", .null),
                ("kv_cache_scheme", .null), ("ignore", plain.ignored),
                ("config_groups", .object(JSONObject([("group_0", .object(group))]))),
            ]))
    }
}
