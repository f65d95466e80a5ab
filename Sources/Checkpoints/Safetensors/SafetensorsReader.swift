internal import Formats

// safetensors:
//
//     u64 bytes of the header, little-endian
//     header: a JSON object, padded with spaces; for each tensor
//             "name": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [begin, end]}
//             and optionally "__metadata__": {"key": "text"}
//     data:   from the end of the header to the end of the file, without holes or overlaps

/// Reading of the format.
enum Safetensors {
    /// The cap of the official library.
    static let maximumHeaderBytes = 100_000_000

    /// The tensors and metadata of one file, checked as a whole.
    struct Contents {
        var metadata: JSONObject?
        var tensors: [Tensor]
    }

    /// Reads and checks the header of a file: after it, the tensors cover the data exactly.
    static func read(_ file: any FileImage) throws(CheckpointError) -> Contents {
        if let problem = file.foreignContents { throw CheckpointError(file: file.path, problem) }
        var reader = ByteReader(file)
        let length = try reader.integer(UInt64.self, "the header's length")
        guard let byteCount = Int(exactly: length), byteCount <= maximumHeaderBytes else {
            throw CheckpointError(
                file: file.path,
                "claims a header of \(length.grouped) bytes; at most \(maximumHeaderBytes.grouped) are allowed",
                hint: "it may not be a safetensors file")
        }
        let bytes = try reader.take(byteCount, "the header")
        let header: SafetensorsHeader
        do throws(JSONError) {
            header = try SafetensorsHeader(bytes)
        } catch {
            throw CheckpointError(
                file: file.path,
                byteOffset: 8 + error.byteOffset,  // fits: a place in the header
                "the header: \(error.problem)")
        }
        return Contents(
            metadata: header.metadata, tensors: try place(header.entries, start: reader.position, file: file))
    }

    /// Places the tensors: each begins where the one before ends, and the last one ends with the file.
    private static func place(
        _ entries: [SafetensorsHeader.Entry], start: Int, file: any FileImage
    ) throws(CheckpointError) -> [Tensor] {
        var names = NameSet(capacity: entries.count)
        for entry in entries {
            guard names.insert(entry.name) else {
                throw CheckpointError(file: file.path, tensor: entry.name, "stands twice in the header")
            }
            guard entry.range != nil else { throw problem(entry, file: file) }
        }
        func places(_ entry: SafetensorsHeader.Entry) -> (Int, Int) {
            (entry.range?.lowerBound ?? 0, entry.range?.upperBound ?? 0)
        }
        // Most files are in order already.
        let isSorted = zip(entries, entries.dropFirst()).allSatisfy { places($0) <= places($1) }
        var expected = 0
        var tensors: [Tensor] = []
        tensors.reserveCapacity(entries.count)
        for entry in isSorted ? entries : entries.sorted(by: { places($0) < places($1) }) {
            guard let dtype = entry.dtype, let shape = entry.shape, let range = entry.range,
                shape.checkedProduct != nil, Tensor.byteCount(dtype: dtype, shape: shape) == range.count
            else { throw problem(entry, file: file) }
            guard range.lowerBound == expected else {
                throw CheckpointError(
                    file: file.path, tensor: entry.name,
                    "starts at offset \(range.lowerBound.grouped) of the data; \(expected.grouped) was expected")
            }
            let (byteOffset, overflow) = start.addingReportingOverflow(expected)
            let recipe = try file.recipe(overflow ? Int.max : byteOffset, range.count, tensor: entry.name)
            tensors.append(Tensor(name: entry.name, dtype: dtype, shape: shape, recipe: recipe))
            expected = range.upperBound
        }
        guard expected == file.byteCount - start else {
            throw CheckpointError(
                file: file.path,
                "the tensors cover \(expected.grouped) bytes of data; the file has "
                    + (file.byteCount - start).grouped,
                hint: "the file is incomplete, or something was appended to it")
        }
        return tensors
    }

    /// What is wrong with a tensor that cannot be placed.
    private static func problem(_ entry: SafetensorsHeader.Entry, file: any FileImage) -> CheckpointError {
        func wrong(_ problem: String) -> CheckpointError {
            CheckpointError(file: file.path, tensor: entry.name, problem)
        }
        guard let dtype = entry.dtype else {
            return wrong(entry.unknownType.map { "has the unknown dtype '\($0)'" } ?? "has no dtype")
        }
        guard let shape = entry.shape else { return wrong("has no shape of whole numbers") }
        guard let range = entry.range else { return wrong("has no data_offsets in order") }
        guard shape.checkedProduct != nil, let byteCount = Tensor.byteCount(dtype: dtype, shape: shape) else {
            return wrong("of type \(dtype) cannot have the shape \(shape)")
        }
        return wrong(
            "of type \(dtype) and shape \(shape) needs \(byteCount.grouped) bytes; its offsets hold "
                + range.count.grouped)
    }
}
