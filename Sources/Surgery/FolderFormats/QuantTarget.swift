internal import Checkpoints
internal import Formats
internal import Kernels

/// A form that weights are written in.
protocol QuantTarget: Sendable {
    /// Why a weight of a shape stays plain; `nil` when it is packed.
    func obstacle(_ shape: [Int]) -> String?
    /// Whether the parts of a weight hold the codes and scales that it is computed from.
    func keepsCodes(of weight: Tensor) throws(CheckpointError) -> Bool
    /// The parts of a weight, in the order of the peer. `weight` is named X.weight; the parts begin with X.
    func parts(of weight: Tensor, in checkpoint: Checkpoint) throws(CheckpointError) -> [Tensor]
    /// Says in the configuration, and in companions, how the weights are packed. `plain` are the modules of matrices
    /// that stayed as they are.
    func configure(_ checkpoint: inout Checkpoint, plain: PlainModules) throws(CheckpointError)
}

extension QuantTarget {
    func keepsCodes(of weight: Tensor) -> Bool { false }
}

/// A form of four-bit integers in groups: what can take over the codes of another one.
protocol GroupedTarget: QuantTarget {
    /// Elements of a group.
    var groupSize: Int { get }
    /// The offsets that can be said; `nil` for a form that has biases.
    var offsets: ClosedRange<Int>? { get }
    /// The types that scales can have.
    var scaleTypes: [DType] { get }
    /// How a plain weight of a type is rounded.
    func rounding(_ dtype: DType) -> GroupRounding
    /// The parts of a weight whose codes, scales and offsets are as they will be stored.
    func parts(of weight: any GroupedWeight, module: String) -> [Tensor]
}

extension GroupedTarget {
    func parts(of weight: Tensor, in checkpoint: Checkpoint) throws(CheckpointError) -> [Tensor] {
        try parts(of: weight, as: weight.dtype, in: checkpoint)
    }

    /// The parts of a weight of which the model has another type: one that was packed before is computed in f32.
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
        return "its rows of \(shape[1]) do not divide into groups of \(groupSize)"
            + (possible.map { ", but into groups of \($0)" } ?? "")
    }
}

/// compressed-tensors' pack-quantized, W4A16.
struct CompressedTensorsTarget: GroupedTarget {
    let groupSize: Int
    let isSymmetric: Bool
    var offsets: ClosedRange<Int>? { isSymmetric ? 8...8 : 0...15 }
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
                    LevelRows(weight: weight, kind: .scales, dtype: layout.scaleType, isTransposed: false))),
            Tensor(
                name: module + ".weight_shape", dtype: .i64, shape: [2],
                recipe: .computed(KnownBytes(bytes: shape, rowByteCount: shape.count))),
        ]
        if !isSymmetric {
            let offsets = OffsetWords(weight: weight, order: Array(0..<8), less: 0, isTransposed: false)
            parts.append(
                Tensor(
                    name: module + ".weight_zero_point", dtype: .i32,
                    shape: [(layout.rows + 7) / Nibbles.perWord, layout.groups], recipe: .computed(offsets)))
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
