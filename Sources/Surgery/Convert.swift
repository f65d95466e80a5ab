public import Checkpoints
public import Formats

/// Moves a checkpoint between HF folders, single safetensors files and GGUF: names, row orders, configuration, vocabulary.
public struct Convert: Edit {
    /// The form of the result.
    public let form: Checkpoint.Form
    /// The type of the weights; `nil` keeps them, or takes BF16 where the form cannot hold them.
    public let dtype: DType?
    /// Whether weights of a folder whose codes and scales GGUF has blocks for, NVFP4 and MXFP4, become these. Who goes on
    /// computing wants values.
    public let keepsBlocks: Bool

    /// A conversion.
    public init(to form: Checkpoint.Form, dtype: DType? = nil, keepsBlocks: Bool = false) {
        self.form = form
        self.dtype = dtype
        self.keepsBlocks = keepsBlocks
    }

    /// The conversion that goes before a quantization: on the way to GGUF values are shown in f32, so that none is rounded twice.
    public static func beforeQuantization(of checkpoint: Checkpoint, to form: Checkpoint.Form) -> Convert {
        Convert(to: form, dtype: checkpoint.form == .folder && form == .gguf ? .f32 : nil)
    }

    /// The checkpoint in the other form.
    public func apply(to checkpoint: Checkpoint) throws(CheckpointError) -> Checkpoint {
        try checkpoint.requireModel(allowsProjector: form == .gguf)
        if checkpoint.form == .safetensors, form != .safetensors {
            throw CheckpointError(
                file: checkpoint.path, "has no configuration beside its tensors",
                hint: "name the HF folder that it lies in")
        }
        let original = checkpoint
        var checkpoint = checkpoint
        // Packed parts stay as they are where the form stays, and blocks in a GGUF file; a plain type is of plain weights.
        if dtype != nil || (checkpoint.form == .gguf) != (form == .gguf) {
            checkpoint = try UnpackWeights(to: dtype ?? (form == .gguf ? nil : .f32)).apply(to: checkpoint)
        }
        var result = checkpoint
        var dtype = dtype
        switch (checkpoint.form, form) {
        case (.folder, .folder), (.safetensors, _), (.gguf, .gguf): break
        case (.folder, .safetensors):
            guard try checkpoint.explainsItself() else {
                throw CheckpointError(
                    file: checkpoint.path,
                    "has packed weights, and a single safetensors file cannot hold the settings that explain them",
                    hint: "name a folder as the output, or say --dtype bf16 for plain weights")
            }
            result.form = .safetensors
            result.config = nil
            result.companions = []
        case (.folder, .gguf):
            result = try ConvertToGGUF(checkpoint).result()
            result.layerPrefix = nil
            if dtype == nil, keepsBlocks { return try result.withExactBlocks(else: Convert.commonType(checkpoint)) }
            dtype = dtype ?? Convert.commonType(checkpoint)
        case (.gguf, .folder), (.gguf, .safetensors):
            dtype = dtype ?? Convert.commonType(original)
            result = try ConvertToFolder(checkpoint, form: form).result()
            result.layerPrefix = nil
        }
        guard let dtype else { return result }
        return try Cast(to: dtype).apply(to: result)
    }

    /// The plain type that most weights have; BF16 where they are quantized.
    private static func commonType(_ checkpoint: Checkpoint) -> DType {
        var counts: [DType: Int] = [:]
        for tensor in checkpoint.tensors where tensor.shape.count >= 2 {
            counts[tensor.dtype, default: 0] += tensor.count
        }
        let most = counts.max { ($0.value, $1.key.name) < ($1.value, $0.key.name) }?.key
        return most.flatMap { [.f32, .f16, .bf16].contains($0) ? $0 : nil } ?? .bf16
    }

    /// The description of an architecture that names can be translated for.
    static func architecture(of checkpoint: Checkpoint) throws(CheckpointError) -> Architecture {
        guard let architecture = checkpoint.architecture else {
            throw checkpoint.unknownArchitecture("so its tensors cannot be renamed")
        }
        return architecture
    }
}

/// The elements of a vector in another order: a bias that follows its matrix.
struct ReorderedElements: RowSource {
    let source: Tensor
    let order: RowOrder

    var description: String { "elements: \(order) of \(source.recipe)" }

    func write(
        rows: Range<Int>, into output: UnsafeMutableRawBufferPointer
    ) throws(CheckpointError) {
        // A vector is one row.
        let count = source.count, size = source.dtype.blockByteCount
        try source.withBytes(rows: rows) { bytes in
            for place in 0..<rows.count * count {
                let from = order.source(of: place) * size
                UnsafeMutableRawBufferPointer(rebasing: output[place * size..<(place + 1) * size])
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[from..<from + size]))
            }
        }
    }
}

extension Tensor {
    /// The tensor with its rows in another order, in heads of equal size.
    ///
    /// - Throws: when the rows do not divide into the heads.
    func reordered(
        heads: Int, file: String, _ order: (Int) -> RowOrder
    ) throws(CheckpointError) -> Tensor {
        let rows = shape.first ?? 0
        guard heads > 0, rows >= heads, rows % heads == 0, rows / heads % 2 == 0 else {
            throw CheckpointError(
                file: file, tensor: name, "has \(rows) rows, which do not divide into \(heads) heads")
        }
        guard shape.count == 2 || (shape.count == 1 && dtype.blockCount == 1) else {
            throw CheckpointError(
                file: file, tensor: name, "of type \(dtype) and shape \(shape) has no rows to reorder")
        }
        var result = self
        let order = order(rows / heads)
        result.recipe =
            shape.count == 1
            ? .computed(ReorderedElements(source: self, order: order)) : .reordered(recipe, order)
        return result
    }
}
