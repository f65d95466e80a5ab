internal import Formats

// A GGUF file with three keys, and F32 tensors for each matrix X of the model:
//
//     imatrix.datasets, imatrix.chunk_count, imatrix.chunk_size
//     X.in_sum2     [matrices, columns]   sums of squares of the inputs of each column
//     X.counts      [matrices, 1]         the number of summed rows; one for all when there is one
//     X.in_sum      like X.in_sum2        sums of the inputs, not used

extension ImportanceMatrix {
    static let sumSuffix = ".in_sum2"
    static let countSuffix = ".counts"
    private static let keys = ["imatrix.datasets", "imatrix.chunk_count", "imatrix.chunk_size"]

    /// Reads the GGUF form.
    static func readGGUF(_ file: MappedFile) throws(CheckpointError) -> Contents {
        let parsed = try GGUF.read(file)
        guard parsed.tensors.contains(where: { $0.name.hasSuffix(sumSuffix) }) else {
            let type = parsed.metadata["general.type"]?.string.map { " ('\($0)')" } ?? ""
            throw CheckpointError(
                file: file.path, "is a GGUF file\(type) without importance sums",
                hint: "llama-imatrix -m MODEL -f TEXT -o imatrix.gguf makes an importance matrix")
        }
        var contents = Contents()
        for key in keys where parsed.metadata[key] == nil {
            throw CheckpointError(file: file.path, "has no \(key), which llama-imatrix writes")
        }
        contents.datasets = (parsed.metadata["imatrix.datasets"]?.array ?? []).compactMap(\.string)
        guard let chunks = parsed.metadata["imatrix.chunk_count"]?.int, UInt32(exactly: chunks) != nil else {
            throw CheckpointError(file: file.path, "has an imatrix.chunk_count that is not a chunk count")
        }
        contents.chunkCount = chunks
        var counts: [ExactString: Tensor] = [:]
        for tensor in parsed.tensors where tensor.name.hasSuffix(countSuffix) {
            counts[ExactString(String(tensor.name.dropLast(countSuffix.count)))] = tensor
        }
        for tensor in parsed.tensors where tensor.name.hasSuffix(sumSuffix) {
            let name = ExactString(String(tensor.name.dropLast(sumSuffix.count)))
            guard let count = counts.removeValue(forKey: name) else {
                throw CheckpointError(file: file.path, tensor: name.text, "has sums but no counts")
            }
            contents.entries[name] = try entry(name.text, sums: tensor, counts: count, file: file)
        }
        if let left = counts.keys.min(by: { $0.text < $1.text }) {
            throw CheckpointError(file: file.path, tensor: left.text, "has counts but no sums")
        }
        return contents
    }

    private static func entry(
        _ name: String, sums: Tensor, counts: Tensor, file: MappedFile
    ) throws(CheckpointError) -> Entry {
        func wrong(_ problem: String) -> CheckpointError {
            CheckpointError(file: file.path, tensor: name, problem)
        }
        guard sums.dtype == .f32, counts.dtype == .f32 else {
            throw wrong("has sums in \(sums.dtype) and counts in \(counts.dtype); both must be F32")
        }
        guard sums.count > 0, counts.count > 0, sums.count % counts.count == 0 else {
            throw wrong(
                "has \(sums.count.grouped) sums and \(counts.count.grouped) counts; the counts must divide the sums")
        }
        guard let range = sums.recipe.mappedRange, let countRange = counts.recipe.mappedRange else {
            throw CheckpointError(
                file: file.path, "is a big-endian file", hint: "measure it again on a little-endian machine")
        }
        try check(range, of: name)
        let bytes = countRange.bytes(0, countRange.byteCount)
        defer { withExtendedLifetime(file) {} }
        var divisors: [Float?] = []
        divisors.reserveCapacity(counts.count)
        for index in 0..<counts.count {
            // llama.cpp rounds counts to integers; f32 stores the same ones.
            let count = bytes.float(at: index).rounded(.toNearestOrAwayFromZero)
            guard count >= 0, count.isFinite else {
                throw wrong("has the count \(bytes.float(at: index)) for matrix \(index)")
            }
            divisors.append(count > 0 ? count : nil)
        }
        return Entry(sums: range, divisors: divisors)
    }
}
