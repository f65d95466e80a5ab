internal import Formats

extension Safetensors {
    /// Lays out one file: wider types first, so that every tensor is aligned to its elements, else in order.
    static func layout(
        _ checkpoint: Checkpoint, tensors: [Tensor], name: String
    ) throws(CheckpointError) -> OutputPlan.File {
        for tensor in tensors where !tensor.dtype.isSafetensors {
            throw CheckpointError(
                file: checkpoint.path, tensor: tensor.name,
                "has the type \(tensor.dtype), which safetensors cannot store",
                hint: "name the output x.gguf, or convert to bf16")
        }
        // Elements of less than a byte go last, with the bytes.
        func width(_ dtype: DType) -> Int { dtype.blockCount == 1 ? dtype.blockByteCount : 1 }
        let tensors = tensors.enumerated().sorted { a, b in
            (width(b.element.dtype), a.offset) < (width(a.element.dtype), b.offset)
        }.map(\.element)
        var header = JSONObject()
        if let metadata = checkpoint.headerMetadata { header["__metadata__"] = .object(metadata) }
        var offset = 0
        for tensor in tensors {
            let end = offset + tensor.byteCount  // fits: a sum of sizes of files
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
        let dataStart = 8 + text.count  // fits: the text is in memory
        text += Array(repeating: 0x20, count: sharingPadding(tensors, dataStart: dataStart))
        let prefix = withUnsafeBytes(of: UInt64(text.count).littleEndian) { Array($0) }
        let start = 8 + text.count  // fits: the text is in memory
        var position = start
        var placed: [(Tensor, Int)] = []
        for tensor in tensors {
            placed.append((tensor, position))
            position += tensor.byteCount  // fits: as the offsets above
        }
        return OutputPlan.File(name: name, header: prefix + text, tensors: placed, byteCount: position)
    }

    /// The number of spaces to add to the header so that most unchanged bytes keep their alignment to disk blocks, and
    /// the file system can share them; 0 when they have it already, or are few.
    private static func sharingPadding(_ tensors: [Tensor], dataStart: Int) -> Int {
        var position = dataStart
        var byteCounts: [Int: Int] = [:]
        for tensor in tensors {
            if let range = tensor.recipe.mappedRange {
                let block = FileWriter.blockByteCount
                let padding = ((range.byteOffset - position) % block + block) % block  // fits: a block is small
                byteCounts[padding, default: 0] += range.byteCount  // fits: a sum of sizes of files
            }
            position += tensor.byteCount  // fits: a sum of sizes of files
        }
        // Of equal sums the smaller padding, so that the choice does not depend on the order of a dictionary.
        let most = byteCounts.filter { $0.key % 8 == 0 }.max { ($0.value, $1.key) < ($1.value, $0.key) }
        guard let most, most.value >= sharedBytesThatMatter else { return 0 }
        return most.key
    }

    /// Below this size copying is fast, so a header without padding is preferred.
    private static let sharedBytesThatMatter = 64 << 20
}
