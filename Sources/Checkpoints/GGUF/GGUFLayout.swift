internal import Formats

extension GGUF {
    /// Lays out one file of version 3, with the alignment that the metadata names.
    ///
    /// - Parameters:
    ///   - tensors: those of this file.
    ///   - metadata: the pairs of this file.
    ///   - name: the suffix of the output's name for a shard; empty when the output is this one file.
    static func layout(
        _ checkpoint: Checkpoint, tensors: [Tensor], metadata: GGUFMetadata, name: String
    ) throws(CheckpointError) -> OutputPlan.File {
        let alignment = try alignment(of: metadata, file: checkpoint.path)
        var writer = GGUFHeaderWriter()
        writer.bytes += magic
        writer.append(UInt32(3))
        writer.append(UInt64(tensors.count))
        writer.append(UInt64(metadata.pairs.count))
        for pair in metadata.pairs {
            guard !pair.key.isEmpty else {
                throw CheckpointError(file: checkpoint.path, "has metadata without a name, which no runtime reads")
            }
            writer.append(pair.key)
            writer.append(pair.value.type)
            writer.append(pair.value)
        }
        var offset = 0
        var offsets: [Int] = []
        for tensor in tensors {
            let type = try storedType(of: tensor, file: checkpoint.path)
            writer.append(tensor.name)
            writer.append(UInt32(tensor.shape.count))
            for size in tensor.shape.reversed() { writer.append(UInt64(size)) }
            writer.append(type)
            writer.append(UInt64(offset))
            offsets.append(offset)
            offset += tensor.byteCount.aligned(to: alignment).value  // fits: sizes of files, and paddings of 2^31
        }
        let start = writer.bytes.count.aligned(to: alignment).value
        return OutputPlan.File(
            name: name, header: writer.bytes, tensors: zip(tensors, offsets).map { ($0, start + $1) },
            byteCount: start + offset)  // fits: the sums above
    }

    /// The number of a tensor's type.
    ///
    /// - Throws: when GGUF cannot store the tensor, or runtimes would not find its name.
    private static func storedType(of tensor: Tensor, file: String) throws(CheckpointError) -> UInt32 {
        func wrong(_ problem: String) -> CheckpointError { CheckpointError(file: file, tensor: tensor.name, problem) }
        guard let type = tensor.dtype.ggml else {
            throw wrong("has the type \(tensor.dtype), which GGUF cannot store")
        }
        guard tensor.shape.count <= maximumDimensions else {
            throw wrong("has \(tensor.shape.count) dimensions; GGUF allows at most \(maximumDimensions)")
        }
        let count = tensor.name.utf8.count
        guard count <= maximumNameBytes else {
            throw wrong("has a name of \(count) bytes; GGUF allows at most \(maximumNameBytes)")
        }
        guard !tensor.name.utf8.contains(0) else {
            throw wrong("has a zero byte in its name, where runtimes would end it")
        }
        return type
    }
}

/// Appends the parts of a header to its bytes.
private struct GGUFHeaderWriter {
    var bytes: [UInt8] = []

    mutating func append(_ value: some FixedWidthInteger) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func append(_ text: String) {
        append(UInt64(text.utf8.count))
        bytes.append(contentsOf: text.utf8)
    }

    mutating func append(_ value: GGUFValue) {
        switch value {
        case .u8(let value): append(value)
        case .i8(let value): append(value)
        case .u16(let value): append(value)
        case .i16(let value): append(value)
        case .u32(let value): append(value)
        case .i32(let value): append(value)
        case .f32(let value): append(value.bitPattern)
        case .bool(let value): append(UInt8(value ? 1 : 0))
        case .string(let value): append(value)
        case .u64(let value): append(value)
        case .i64(let value): append(value)
        case .f64(let value): append(value.bitPattern)
        case .array(let elementType, let values):
            append(elementType)
            append(UInt64(values.count))
            for element in values { append(element) }
        }
    }
}
