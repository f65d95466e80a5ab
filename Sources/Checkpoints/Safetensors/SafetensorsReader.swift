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
        var reader = ByteCursor(file)
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
            header = try SafetensorsHeader(bytes, of: file, dataStart: reader.position)
        } catch {
            throw CheckpointError(
                file: file.path,
                byteOffset: 8 + error.byteOffset,  // fits: a position in the header
                "the header: \(error.problem)")
        }
        if let name = NameSet.firstRepeated(in: header.tensors) {
            throw CheckpointError(file: file.path, tensor: name, "occurs twice in the header")
        }
        if let problem = header.problem { throw problem }
        return Contents(
            metadata: header.metadata,
            tensors: try ordered(header, dataByteCount: file.byteCount - reader.position, file: file))
    }

    /// The tensors in the order of the data: each begins where the one before ends, and the last one ends with the
    /// file.
    private static func ordered(
        _ header: SafetensorsHeader, dataByteCount: Int, file: any FileImage
    ) throws(CheckpointError) -> [Tensor] {
        let (tensors, begins) = (header.tensors, header.begins)
        func isBefore(_ a: Int, _ b: Int) -> Bool {
            (begins[a], tensors[a].byteCount) < (begins[b], tensors[b].byteCount)
        }
        // Most files are in order already.
        let isSorted = tensors.indices.dropFirst().allSatisfy { !isBefore($0, $0 - 1) }
        let order = isSorted ? [] : tensors.indices.sorted(by: isBefore)
        var expected = 0
        for index in tensors.indices {
            let index = isSorted ? index : order[index]
            guard begins[index] == expected else {
                throw CheckpointError(
                    file: file.path, tensor: tensors[index].name,
                    "starts at offset \(begins[index].grouped) of the data; expected \(expected.grouped)")
            }
            expected += tensors[index].byteCount
        }
        if let outside = header.outside { throw outside }
        guard expected == dataByteCount else {
            throw CheckpointError(
                file: file.path,
                "the tensors cover \(expected.grouped) bytes of data; the file has \(dataByteCount.grouped)",
                hint: "the file is incomplete, or something was appended to it")
        }
        return isSorted ? tensors : order.map { tensors[$0] }
    }
}
