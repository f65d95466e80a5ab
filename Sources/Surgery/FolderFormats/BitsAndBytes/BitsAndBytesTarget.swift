internal import Checkpoints
internal import Formats
internal import Kernels

/// NF4 and FP4 as bitsandbytes writes them.
struct BitsAndBytesTarget: QuantTarget {
    let levels: FourBitLevels
    /// Number of weights that share a scale.
    let block: Int
    /// Whether the scales are quantized too.
    let isDouble: Bool

    /// None: the last block may be short, so every weight can be quantized.
    func obstacle(_ shape: [Int]) -> String? { nil }

    func parts(of weight: Tensor, in checkpoint: Checkpoint) throws(CheckpointError) -> [Tensor] {
        guard Codec.decodes(weight.dtype) else {
            throw CheckpointError(
                file: checkpoint.path, tensor: weight.name, "has the type \(weight.dtype), which cannot be decoded")
        }
        let source = BlockedSource(weight, block: block, file: checkpoint.path)
        // The length of the JSON depends on the mean, so it is computed before the layout.
        let mean = isDouble ? try source.meanScale() : nil
        let state = QuantState(
            levels: levels, block: block, dtype: [.f16, .bf16].contains(weight.dtype) ? weight.dtype : .f32,
            shape: weight.shape, offset: mean)
        func part(_ ending: String, _ dtype: DType, _ shape: [Int], _ rows: any RowSource) -> Tensor {
            Tensor(name: weight.name + ending, dtype: dtype, shape: shape, recipe: .computed(rows))
        }
        func known(_ ending: String, _ dtype: DType, _ bytes: [UInt8]) -> Tensor {
            part(
                ending, dtype, [bytes.count / dtype.blockByteCount], KnownBytes(bytes: bytes, rowByteCount: bytes.count)
            )
        }
        var parts = [part("", .u8, [(source.count + 1) / 2, 1], LevelCodeRows(source: source, levels: levels))]
        if let mean {
            let outer = (source.blockCount - 1) / DynamicMap.block + 1
            parts += [
                part(".absmax", .u8, [source.blockCount], NestedScaleRows(source: source, mean: mean, part: .codes)),
                known(".quant_map", .f32, levels.values.flatMap(\.littleEndianBytes)),
                part(".nested_absmax", .f32, [outer], NestedScaleRows(source: source, mean: mean, part: .scales)),
                known(".nested_quant_map", .f32, DynamicMap.values.flatMap(\.littleEndianBytes)),
            ]
        } else {
            parts += [
                part(".absmax", .f32, [source.blockCount], BlockScaleRows(source: source)),
                known(".quant_map", .f32, levels.values.flatMap(\.littleEndianBytes)),
            ]
        }
        parts.append(known(".quant_state.bitsandbytes__" + levels.rawValue, .u8, Array(state.text.utf8)))
        return parts
    }

    func configure(_ checkpoint: inout Checkpoint, plain: PlainModules) {
        let type = DequantizeFolder.statedType(checkpoint) ?? .f32
        let compute = type == .bf16 ? "bfloat16" : type == .f16 ? "float16" : "float32"
        // Without a list transformers leaves out the output matrix alone.
        let others = plain.names.filter { $0 != "lm_head" } + plain.prefixes
        let skipped = others.isEmpty ? JSON.null : .array((["lm_head"] + others).map(JSON.string))
        checkpoint.config?["quantization_config"] = .object(
            JSONObject([
                ("_load_in_4bit", .bool(true)), ("_load_in_8bit", .bool(false)),
                ("bnb_4bit_compute_dtype", .string(compute)), ("bnb_4bit_quant_storage", .string("uint8")),
                ("bnb_4bit_quant_type", .string(levels.rawValue)), ("bnb_4bit_use_double_quant", .bool(isDouble)),
                ("llm_int8_enable_fp32_cpu_offload", .bool(false)), ("llm_int8_has_fp16_weight", .bool(false)),
                ("llm_int8_skip_modules", skipped), ("llm_int8_threshold", .number("6.0")),
                ("load_in_4bit", .bool(true)), ("load_in_8bit", .bool(false)),
                ("quant_method", .string("bitsandbytes")),
            ]))
    }
}

extension Float {
    /// The bytes of the number in file order.
    var littleEndianBytes: [UInt8] { withUnsafeBytes(of: bitPattern.littleEndian) { Array($0) } }
}
