public import Checkpoints
public import Formats

/// A hash that tells one input from another without reading a large model twice.
///
/// It is XXH3-128 of the settings, of the names, types and shapes of all tensors, and of the first bytes of some 256
/// tensors that are spread over the file. That reads at most two megabytes of a model of any size; two trainings of one model
/// differ in nearly all weights, so in the samples too. `resect hash` covers every byte.
struct InputHash {
    private static let sampleCount = 256, sampleByteCount = 4096

    /// A model.
    static func json(_ checkpoint: Checkpoint) throws(CheckpointError) -> JSONObject {
        JSONObject([
            ("name", .string(name(of: checkpoint.path))), ("format", .string(checkpoint.form.rawValue)),
            ("tensors", .int(checkpoint.tensors.count)), ("byteCount", .int(checkpoint.byteCount)),
            ("hash", .string(try hash(checkpoint))),
        ])
    }

    /// A file that is hashed whole: a text.
    static func json(file: String) throws(CheckpointError) -> JSONObject {
        let mapped = try MappedFile(path: file)
        return withExtendedLifetime(mapped) {
            JSONObject([
                ("name", .string(name(of: file))), ("byteCount", .int(mapped.byteCount)),
                ("hash", .string("\(Digest(of: mapped.bytes))")),
            ])
        }
    }

    /// A folder of an adapter, by its files.
    static func json(adapter folder: String) throws(CheckpointError) -> JSONObject {
        var (byteCount, digests) = (0, [UInt8]())
        for name in try FileSystem.names(in: folder).sorted() where name.hasPrefix("adapter") {
            guard FileSystem.kind(of: "\(folder)/\(name)") == .file else { continue }
            let file = try json(file: "\(folder)/\(name)")
            byteCount += file["byteCount"]?.int ?? 0  // fits: files on a disk
            digests += "\(name) \(file["hash"]?.string ?? "")\n".utf8
        }
        return JSONObject([
            ("name", .string(name(of: folder))), ("byteCount", .int(byteCount)),
            ("hash", .string("\(Digest(of: digests))")),
        ])
    }

    /// The last component of a path: folders are those of this machine.
    private static func name(of path: String) -> String { HubCache.id(ofSnapshot: path) ?? path.lastPathComponent }

    /// A value of metadata: its type, and its length where it has one, so that no two values have the same bytes. A
    /// vocabulary has hundreds of thousands.
    private static func append(_ value: GGUFValue, to bytes: inout [UInt8]) {
        func append(_ number: UInt64) {
            withUnsafeBytes(of: number.littleEndian) { bytes += $0 }
        }
        bytes.append(UInt8(truncatingIfNeeded: value.type))
        if let text = value.string {
            append(UInt64(text.utf8.count))
            bytes += text.utf8
        } else if let list = value.array {
            append(UInt64(list.count))
            for element in list { InputHash.append(element, to: &bytes) }
        } else if let number = value.int {
            append(UInt64(bitPattern: Int64(number)))
        } else {
            append((value.double ?? (value.bool == true ? 1 : 0)).bitPattern)
        }
    }

    private static func hash(_ checkpoint: Checkpoint) throws(CheckpointError) -> String {
        var bytes: [UInt8] = []
        switch checkpoint.container {
        case .folder(let folder): bytes += (folder.config.map { JSON.object($0).compact } ?? "").utf8
        case .safetensors: break
        case .gguf(let metadata):
            // Without what the file says of how it was made, which another container has elsewhere.
            for pair in metadata.pairs where !pair.key.hasPrefix("resect.") {
                bytes += pair.key.utf8
                append(pair.value, to: &bytes)
            }
        }
        for tensor in checkpoint.tensors { bytes += "\(tensor.name) \(tensor.dtype) \(tensor.shape)\n".utf8 }
        let count = checkpoint.tensors.count, step = max(1, count / sampleCount)
        for index in stride(from: 0, to: count, by: step) where checkpoint.tensors[index].rowCount > 0 {
            bytes += try checkpoint.tensors[index].withBytes(rows: 0..<1) { (row) throws(CheckpointError) in
                Array(row.prefix(sampleByteCount))
            }
        }
        return "\(Digest(of: bytes))"
    }
}

extension Provenance {
    /// What a step says of the model that it read.
    public static func input(_ model: Checkpoint) throws(CheckpointError) -> JSON {
        .object(try InputHash.json(model))
    }

    /// What a step says of an adapter, an importance matrix or another file that an option names.
    public static func input(_ path: String, of option: String) throws(CheckpointError) -> JSON {
        let isFolder = FileSystem.kind(of: path) == .folder
        let object = try isFolder ? InputHash.json(adapter: path) : InputHash.json(file: path)
        return .object(JSONObject([("option", .string(option))] + object.members.map { ($0, $1) }))
    }

    /// What a step says of a text that is a file: its name and its hash.
    package static func text(file path: String) throws(CheckpointError) -> JSON {
        .object(try InputHash.json(file: path))
    }
}

extension Provenance.Step {
    /// Perplexities as a step says them, with three decimal digits.
    package static func measured(_ values: [(String, Double)]) -> JSONObject {
        JSONObject(values.map { ($0.0, .double(($0.1 * 1000).rounded() / 1000)) })
    }
}
