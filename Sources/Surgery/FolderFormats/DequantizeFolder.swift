public import Checkpoints
public import Formats
internal import Kernels
internal import Weights

/// Turns a folder whose weights are packed (GPTQ, AWQ, compressed-tensors, MLX, …) into the same folder with plain ones,
/// computed in f32 as the form defines them. Checkpoints of plain weights stay as they are.
public struct DequantizeFolder: Edit {
    /// The type of the weights; `nil` for the model's own.
    public let dtype: DType?

    /// An edit that gives weights of a type: F32 for those who go on computing, `nil` for the type that the
    /// configuration names.
    public init(to dtype: DType? = nil) { self.dtype = dtype }

    /// The checkpoint with plain weights.
    ///
    /// - Throws: for a form that is not read, for parts that do not fit together, and for tensors that are packed and no
    ///   settings explain.
    public func apply(to checkpoint: Checkpoint) throws(CheckpointError) -> Checkpoint {
        if checkpoint.form == .gguf { return try checkpoint.dequantizingBlocks(to: dtype ?? .f32) }
        guard let form = try QuantFormats.form(of: checkpoint) else {
            try UnexplainedParts(checkpoint).refuse(form: nil)
            return checkpoint
        }
        let stated = DequantizeFolder.statedType(checkpoint)
        var weights: [Int: Tensor] = [:]
        var parts: Set<ExactString> = []
        for (index, module) in try form.modules(of: checkpoint) {
            let weight = try form.weight(of: module)
            let type = dtype ?? stated ?? weight.valueType
            for ending in module.parts.keys { parts.insert(ExactString(module.name + ending)) }
            weights[index] = Tensor(
                name: module.name + ".weight", dtype: type, shape: weight.shape,
                recipe: .computed(DequantizedRows(weight: weight, dtype: type)))
        }
        var result = checkpoint
        result.tensors = checkpoint.tensors.indices.compactMap { index in
            let tensor = checkpoint.tensors[index]
            return weights[index] ?? (parts.contains(ExactString(tensor.name)) ? nil : tensor)
        }
        RuntimeScales.remove(from: &result)
        try UnexplainedParts(result).refuse(form: form.name)
        QuantizationSettings.remove(from: &result)
        if weights.isEmpty { result.note("the settings of \(form.name) are left out: no weight is packed so") }
        if result.headerMetadata?["format"] != nil { result.headerMetadata?["format"] = .string("pt") }
        return result
    }

    /// The type that the configuration names.
    static func statedType(_ checkpoint: Checkpoint) -> DType? {
        let names: [String: DType] = ["float32": .f32, "float16": .f16, "bfloat16": .bf16]
        let config = checkpoint.config, text = config?["text_config"]
        let stated = config?["dtype"] ?? config?["torch_dtype"] ?? text?["dtype"] ?? text?["torch_dtype"]
        return stated?.string.flatMap { names[$0] }
    }
}

extension Checkpoint {
    /// How many parameters the model has: those of its plain weights, also where these lie packed. Parts that do not fit
    /// together count as they are.
    public var modelParameterCount: Int {
        ((try? DequantizeFolder(to: .f32).apply(to: self)) ?? self).parameterCount
    }
}

/// The rows of a packed weight as plain values.
struct DequantizedRows: ValueRows {
    let weight: any CodedWeight
    let dtype: DType

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
