internal import Formats

extension GGUF {
    /// Lays out one file of version 3, with the alignment that the metadata names.
    static func layout(_ checkpoint: Checkpoint) throws(CheckpointError) -> OutputPlan.File {
        guard checkpoint.metadata.architecture != nil else {
            throw CheckpointError(
                file: checkpoint.path, "has no general.architecture, which a GGUF file needs")
        }
        let alignment = checkpoint.metadata["general.alignment"]?.int ?? defaultAlignment
        var writer = GGUFHeaderWriter()
        writer.bytes += magic
        writer.append(UInt32(3))
        writer.append(UInt64(checkpoint.tensors.count))
        writer.append(UInt64(checkpoint.metadata.pairs.count))
        for pair in checkpoint.metadata.pairs {
            writer.append(pair.key)
            writer.append(pair.value.type)
            writer.append(pair.value)
        }
        var offset = 0
        var offsets: [Int] = []
        for tensor in checkpoint.tensors {
            guard let type = tensor.dtype.ggml, tensor.shape.count <= maximumDimensions,
                tensor.name.utf8.count <= maximumNameBytes
            else {
                throw CheckpointError(
                    file: checkpoint.path, tensor: tensor.name,
                    "of type \(tensor.dtype) and shape \(tensor.shape) does not fit a GGUF file")
            }
            writer.append(tensor.name)
            writer.append(UInt32(tensor.shape.count))
            for size in tensor.shape.reversed() { writer.append(UInt64(size)) }
            writer.append(type)
            writer.append(UInt64(offset))
            offsets.append(offset)
            offset += tensor.byteCount.aligned(to: alignment).value
        }
        let start = writer.bytes.count.aligned(to: alignment).value
        return OutputPlan.File(
            name: "", header: writer.bytes,
            tensors: zip(checkpoint.tensors, offsets).map { ($0, start + $1) },
            byteCount: start + offset)
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
