public import Checkpoints
public import Formats
internal import Kernels
internal import Weights

/// Dequantizes the weights of a folder (GPTQ, AWQ, compressed-tensors, MLX, …), in f32 as their format defines. A
/// checkpoint without quantized weights is returned unchanged.
public struct DequantizeFolder: Edit {
    /// The type of the dequantized weights; `nil` for the type that the configuration names.
    public let dtype: DType?

    /// An edit with a target type: F32 when later edits compute with the values, `nil` for the type that the
    /// configuration names.
    public init(to dtype: DType? = nil) { self.dtype = dtype }

    /// The checkpoint with dequantized weights.
    ///
    /// - Throws: for a format that resect does not read, for parts that do not fit together, and for quantized tensors
    ///   without settings.
    public func apply(to checkpoint: Checkpoint) throws(CheckpointError) -> Checkpoint {
        if checkpoint.form == .gguf { return try checkpoint.dequantizingBlocks(to: dtype ?? .f32) }
        guard let format = try QuantFormats.format(of: checkpoint) else {
            try UnexplainedParts(checkpoint).refuse(format: nil)
            return checkpoint
        }
        let stated = DequantizeFolder.statedType(checkpoint)
        var weights: [Int: [Tensor]] = [:]
        var parts: Set<ExactString> = []
        for (index, module) in try format.modules(of: checkpoint) {
            let weight = try format.weight(of: module)
            let type = dtype ?? stated ?? weight.valueType
            for ending in module.parts.keys { parts.insert(ExactString(module.name + ending)) }
            weights[index, default: []].append(
                Tensor(
                    name: module.weightName, dtype: type, shape: weight.shape,
                    recipe: .computed(DequantizedRows(weight: weight, dtype: type, format: format.name))))
        }
        var result = checkpoint
        result.tensors = checkpoint.tensors.indices.flatMap { index in
            let tensor = checkpoint.tensors[index]
            return weights[index] ?? (parts.contains(ExactString(tensor.name)) ? [] : [tensor])
        }
        result.placeRoles()
        if format.stacksExperts { result = try StackedExperts(result).takingApart(result) }
        RuntimeScales.remove(from: &result)
        try UnexplainedParts(result).refuse(format: format.name)
        QuantizationSettings.remove(from: &result)
        if weights.isEmpty { result.note("the \(format.name) settings are removed: no weight is in this format") }
        if result.headerMetadata?["format"] != nil { result.headerMetadata?["format"] = .string("pt") }
        return result
    }

    /// The weight type that the configuration names.
    static func statedType(_ checkpoint: Checkpoint) -> DType? {
        let names: [String: DType] = ["float32": .f32, "float16": .f16, "bfloat16": .bf16]
        let config = checkpoint.config, text = config?["text_config"]
        let stated = config?["dtype"] ?? config?["torch_dtype"] ?? text?["dtype"] ?? text?["torch_dtype"]
        return stated?.string.flatMap { names[$0] }
    }
}

extension Checkpoint {
    /// The number of parameters, counting those of the dequantized weights. Parts that do not fit together count as
    /// stored.
    public var modelParameterCount: Int {
        // Looking for parts of quantized weights takes longer than reading a header, so settings and types decide first.
        let type: DType = form == .gguf ? .nvfp4 : .u8
        let isStated = form == .gguf ? false : ((try? QuantizationSettings(of: self)) ?? nil) != nil
        guard isStated || tensors.indices.contains(where: { tensors[$0].dtype == type }) else { return parameterCount }
        return ((try? DequantizeFolder(to: .f32).apply(to: self)) ?? self).parameterCount
    }
}

/// The rows of a quantized weight, dequantized.
struct DequantizedRows: ValueRows {
    let weight: any CodedWeight
    let dtype: DType
    /// The name of the quantized format, for messages.
    let format: String

    var description: String { "\(weight) as \(dtype)" }

    func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        let columns = weight.shape[1]
        if dtype == .f32 {
            guard let base = output.baseAddress else { return }
            try weight.writeValues(
                rows: rows, columns: 0..<columns, into: base.assumingMemoryBound(to: Float.self))
            return
        }
        let values = Scratch(floats: rows.count * columns)
        try weight.writeValues(rows: rows, columns: 0..<columns, into: values.floats)
        Codec.encode(dtype, values.floats, rows: rows.count, rowLength: columns, into: output)
    }

    func writeValues(
        rows: Range<Int>, columns: Range<Int>, into output: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) -> Bool {
        guard dtype == .f32 else { return false }
        try weight.writeValues(rows: rows, columns: columns, into: output)
        return true
    }
}
