internal import Formats

// The form before GGUF, little-endian, without a magic number:
//
//     i32 entries
//     entries:  i32 bytes, name;  i32 calls;  i32 values, f32 each: means of squares times calls
//     at the end, or nothing:  i32 chunks;  i32 bytes, the name of the text

extension ImportanceMatrix {
    /// The minimum size of an entry: a one-letter name and one value.
    private static let minimumEntry = 17
    /// The approximate memory of an entry without its name.
    private static let entryMemory = 256

    /// Reads the older form. It has no magic number: another file is recognized because its entries do not end with it.
    static func readLegacy(_ file: MappedFile) throws(CheckpointError) -> Contents {
        var reader = ByteCursor(file)
        defer { withExtendedLifetime(file) {} }
        let count = try reader.integer(Int32.self, "the number of entries")
        guard count > 0, Int(count) <= reader.left / minimumEntry else {
            throw CheckpointError(
                file: file.path,
                "is neither a GGUF file nor an older importance matrix: as one it would have "
                    + "\(count.grouped) tensors in \(file.byteCount.grouped) bytes",
                hint: "llama-imatrix -m MODEL -f TEXT -o imatrix.gguf makes an importance matrix")
        }
        var contents = Contents()
        for _ in 0..<count {
            let name = try text(&reader, "the name of a tensor")
            guard !name.isEmpty, !name.utf8.contains(0) else {
                throw reader.error("the name of a tensor is empty or contains a zero byte")
            }
            try reader.spend(entryMemory, "the name of a tensor")
            let calls = try reader.integer(Int32.self, "how often '\(name)' was used")
            let sums = try values(&reader, of: name, file: file)
            try check(sums, of: name)
            let entry = Entry(sums: sums, divisors: [calls > 0 ? Float(calls) : 1])
            guard contents.entries.updateValue(entry, forKey: ExactString(name)) == nil else {
                throw CheckpointError(file: file.path, tensor: name, "occurs twice")
            }
            contents.names.append(name)
        }
        if reader.left > 0 {
            contents.chunkCount = Int(max(0, try reader.integer(Int32.self, "the number of chunks")))
            let dataset = try text(&reader, "the name of the text")
            if !dataset.isEmpty { contents.datasets = [dataset] }
        }
        guard reader.left == 0 else {
            throw reader.error("\(reader.left.grouped) bytes follow the end of the importance matrix")
        }
        return contents
    }

    /// The range of the values of an entry.
    private static func values(
        _ reader: inout ByteCursor, of name: String, file: MappedFile
    ) throws(CheckpointError) -> MappedRange {
        let count = try reader.integer(Int32.self, "the number of values of '\(name)'")
        guard count > 0 else { throw reader.error("'\(name)' has \(count) values") }
        let byteCount = Int(count) * width  // fits: below 2^33
        let start = reader.position
        _ = try reader.take(byteCount, "the values of '\(name)'")
        return MappedRange(file: file, byteOffset: start, byteCount: byteCount)
    }

    private static func text(
        _ reader: inout ByteCursor, _ what: @autoclosure () -> String
    ) throws(CheckpointError) -> String {
        let count = try reader.integer(Int32.self, "the length of \(what())")
        guard count >= 0 else { throw reader.error("\(what()) has \(count) bytes") }
        let bytes = try reader.take(Int(count), what())
        try reader.spend(Int(count), what())
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw reader.error("\(what()) is not UTF-8")
        }
        return text
    }

    /// A file of the older form as a checkpoint of the GGUF form with the same quotients, as llama-imatrix writes it today.
    ///
    /// - Returns: `nil` for a file of another kind. The older form has no mark, so a file that cannot be read as one is of
    ///   another kind.
    static func legacyCheckpoint(_ file: MappedFile) -> Checkpoint? {
        guard let contents = try? readLegacy(file) else { return nil }
        var metadata = GGUFMetadata()
        metadata["general.type"] = .string("imatrix")
        metadata["imatrix.datasets"] = .array(elementType: 8, contents.datasets.map(GGUFValue.string))
        metadata["imatrix.chunk_count"] = .u32(UInt32(clamping: contents.chunkCount))
        // The older form counts chunks and does not state their number of tokens.
        metadata["imatrix.chunk_size"] = .u32(1)
        var checkpoint = Checkpoint(path: file.path, container: .gguf(metadata), tensors: [], sources: [file])
        checkpoint.content = .importanceMatrix
        for name in contents.names {
            checkpoint.tensors += contents.entries[ExactString(name)]?.tensors(named: name) ?? []
        }
        return checkpoint
    }
}
