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

    private struct Entry {
        let name: String
        let dtype: DType
        let shape: [Int]
        let begin: Int
        let end: Int
    }

    /// Reads and checks the header of a file: after it, the tensors cover the data exactly.
    static func read(_ file: any FileImage) throws(CheckpointError) -> Contents {
        if let problem = file.foreignContents { throw CheckpointError(file: file.path, problem) }
        var reader = ByteReader(file)
        let length = try reader.integer(UInt64.self, "the header's length")
        guard length <= UInt64(maximumHeaderBytes), let byteCount = Int(exactly: length) else {
            throw CheckpointError(
                file: file.path,
                "claims a header of \(length.grouped) bytes; at most \(maximumHeaderBytes.grouped) are allowed",
                hint: "it may not be a safetensors file")
        }
        let bytes = try reader.take(byteCount, "the header")
        let header: JSON
        do throws(JSONError) {
            header = try JSON.parse(bytes)
        } catch {
            throw CheckpointError(
                file: file.path, byteOffset: 8 + error.byteOffset, "the header: \(error.problem)")
        }
        guard let object = header.object else {
            throw CheckpointError(file: file.path, "the header is not a JSON object")
        }
        var metadata: JSONObject?
        var entries: [Entry] = []
        for (name, value) in object.members {
            if name == "__metadata__" {
                metadata = try checkedMetadata(value, file: file)
            } else {
                entries.append(try entry(name, value, file: file))
            }
        }
        return Contents(
            metadata: metadata,
            tensors: try place(entries, start: reader.position, file: file))
    }

    private static func checkedMetadata(
        _ value: JSON, file: any FileImage
    ) throws(CheckpointError) -> JSONObject {
        guard let object = value.object, object.members.allSatisfy({ $0.1.string != nil }) else {
            throw CheckpointError(file: file.path, "__metadata__ is not a map from text to text")
        }
        return object
    }

    private static func entry(
        _ name: String, _ value: JSON, file: any FileImage
    ) throws(CheckpointError) -> Entry {
        func wrong(_ problem: String) -> CheckpointError {
            CheckpointError(file: file.path, tensor: name, problem)
        }
        guard let typeName = value["dtype"]?.string else { throw wrong("has no dtype") }
        guard let dtype = DType(named: typeName), dtype.isSafetensors, dtype.name == typeName else {
            throw wrong("has the unknown dtype '\(typeName)'")
        }
        guard let dimensions = value["shape"]?.array, dimensions.allSatisfy({ ($0.int ?? -1) >= 0 })
        else { throw wrong("has no shape of whole numbers") }
        let shape = dimensions.compactMap(\.int)
        guard let offsets = value["data_offsets"]?.array?.compactMap(\.int), offsets.count == 2,
            0 <= offsets[0], offsets[0] <= offsets[1]
        else { throw wrong("has no data_offsets in order") }
        guard let byteCount = Tensor.byteCount(dtype: dtype, shape: shape) else {
            throw wrong("of type \(dtype) cannot have the shape \(shape)")
        }
        guard byteCount == offsets[1] - offsets[0] else {
            throw wrong(
                "of type \(dtype) and shape \(shape) needs \(byteCount.grouped) bytes; its offsets hold "
                    + (offsets[1] - offsets[0]).grouped)
        }
        return Entry(name: name, dtype: dtype, shape: shape, begin: offsets[0], end: offsets[1])
    }

    private static func place(
        _ entries: [Entry], start: Int, file: any FileImage
    ) throws(CheckpointError) -> [Tensor] {
        let sorted = entries.sorted { ($0.begin, $0.end) < ($1.begin, $1.end) }
        var expected = 0
        var tensors: [Tensor] = []
        tensors.reserveCapacity(entries.count)
        for entry in sorted {
            guard entry.begin == expected else {
                throw CheckpointError(
                    file: file.path, tensor: entry.name,
                    "starts at offset \(entry.begin.grouped) of the data; \(expected.grouped) was expected")
            }
            let (byteOffset, overflow) = start.addingReportingOverflow(entry.begin)
            let recipe = try file.recipe(
                overflow ? Int.max : byteOffset, entry.end - entry.begin, tensor: entry.name)
            tensors.append(
                Tensor(name: entry.name, dtype: entry.dtype, shape: entry.shape, recipe: recipe))
            expected = entry.end
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
}
