internal import Formats

extension Safetensors {
    /// Lays out one file: wider types first, so that every tensor is aligned to its elements, else in order.
    static func layout(
        _ checkpoint: Checkpoint, name: String
    ) throws(CheckpointError) -> OutputPlan.File {
        for tensor in checkpoint.tensors where !tensor.dtype.isSafetensors {
            throw CheckpointError(
                file: checkpoint.path, tensor: tensor.name,
                "has the type \(tensor.dtype), which safetensors cannot hold",
                hint: "name the output x.gguf, or convert to bf16")
        }
        let tensors = checkpoint.tensors.enumerated().sorted { a, b in
            (b.element.dtype.blockByteCount, a.offset) < (a.element.dtype.blockByteCount, b.offset)
        }.map(\.element)
        var header = JSONObject()
        if let metadata = checkpoint.headerMetadata { header["__metadata__"] = .object(metadata) }
        var offset = 0
        for tensor in tensors {
            let end = offset + tensor.byteCount
            header.append(
                tensor.name,
                .object(
                    JSONObject([
                        ("dtype", .string(tensor.dtype.name)),
                        ("shape", .array(tensor.shape.map(JSON.int))),
                        ("data_offsets", .array([.int(offset), .int(end)])),
                    ])))
            offset = end
        }
        var text = Array(JSON.object(header).compact.utf8)
        text += Array(repeating: 0x20, count: text.count.aligned(to: 8).value - text.count)
        let length = withUnsafeBytes(of: UInt64(text.count).littleEndian) { Array($0) }
        let start = 8 + text.count
        var place = start
        var placed: [(Tensor, Int)] = []
        for tensor in tensors {
            placed.append((tensor, place))
            place += tensor.byteCount
        }
        return OutputPlan.File(name: name, header: length + text, tensors: placed, byteCount: place)
    }
}
