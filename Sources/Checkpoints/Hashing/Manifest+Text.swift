internal import Formats

// A manifest is a JSON object; each tensor has a line of its own, in the order of the checkpoint:
//
//     {
//     "format": "resect-manifest", "version": 1,
//     "algorithm": "xxh3-128",
//     "total": "9a…",
//     "tensors": [
//     {"name": "a.weight", "dtype": "BF16", "shape": [2, 3], "byteCount": 12, "hash": "4f…"},
//     …
//     ]
//     }

extension Manifest {
    private static let format = "resect-manifest"
    private static let version = 1
    /// Texts longer than this must begin like a manifest, so that other files are not parsed for long.
    private static let maximumForeignByteCount = 16 << 20
    /// Enough for six million tensors.
    private static let maximumByteCount = 1 << 30
    private static let opening = "{\n\"format\": \"\(format)\", \"version\": \(version),\n"

    /// The text of the file.
    public var text: String {
        func quoted(_ text: String) -> String { JSON.string(text).compact }
        var lines: [String] = []
        lines.append("\"algorithm\": \"\(algorithm.rawValue)\",\n\"total\": \"\(total)\",\n\"tensors\": [")
        for (index, entry) in entries.enumerated() {
            let shape = entry.shape.map(String.init).joined(separator: ", ")
            lines.append(
                "{\"name\": \(quoted(entry.name)), \"dtype\": \"\(entry.dtype)\", \"shape\": [\(shape)], "
                    + "\"byteCount\": \(entry.byteCount), \"hash\": \"\(entry.digest)\"}"
                    + (index + 1 < entries.count ? "," : ""))
        }
        return Manifest.opening + (lines + ["]", "}"]).joined(separator: "\n") + "\n"
    }

    private static func contents(_ path: String) throws(CheckpointError) -> [UInt8] {
        let file = try MappedFile(path: path)
        let isOurs = withExtendedLifetime(file) { file.bytes.starts(with: opening.utf8) }
        return try FileSystem.contents(of: path, limit: isOurs ? maximumByteCount : maximumForeignByteCount)
    }

    /// Whether a path leads to a text that may be a manifest, and not to a checkpoint. False for a file that cannot be
    /// read: opening it as a checkpoint reports why.
    ///
    /// A safetensors file can begin with a brace too, but the eighth byte of its header's length is 0.
    package static func isText(at path: String) -> Bool {
        guard !path.hasSuffix(".index.json"), FileSystem.isRegularFile(path), let file = try? MappedFile(path: path)
        else { return false }
        return withExtendedLifetime(file) {
            let bytes = file.bytes
            guard bytes.first == UInt8(ascii: "{") else { return false }
            return bytes.count < 8 || bytes[7] != 0
        }
    }

    /// Reads and checks a manifest.
    ///
    /// - Throws: when anything in it is missing, unknown, or does not fit the rest.
    public init(path: String) throws(CheckpointError) {
        func wrong(_ problem: String) -> CheckpointError { CheckpointError(file: path, problem) }
        let object = try FileSystem.json(try Manifest.contents(path), path: path, allowsNonFinite: false)
        guard object["format"]?.string == Manifest.format else {
            throw CheckpointError(
                file: path, "is not a manifest: 'format' is not '\(Manifest.format)'",
                hint: "hash MODEL -o FILE and --manifest write one")
        }
        guard object["version"]?.int == Manifest.version else {
            let found = object["version"].map(\.compact) ?? "missing"
            throw wrong("the version is \(found.shortened); version \(Manifest.version) is read")
        }
        guard let algorithm = object["algorithm"]?.string.flatMap(HashAlgorithm.init(rawValue:)) else {
            let known = HashAlgorithm.allCases.map(\.rawValue).joined(separator: " ")
            throw wrong("'algorithm' is missing or unknown; known: \(known)")
        }
        guard let total = object["total"]?.string.flatMap({ Digest($0, algorithm: algorithm) }) else {
            throw wrong("'total' is not a hash of \(algorithm.digitCount) lower-case digits")
        }
        guard let list = object["tensors"]?.array else { throw wrong("has no list of tensors") }
        var entries: [Entry] = []
        var seen: Set<ExactString> = []
        for (index, value) in list.enumerated() {
            let entry = try Manifest.entry(value, index: index, algorithm, path: path)
            guard seen.insert(ExactString(entry.name)).inserted else {
                throw CheckpointError(file: path, tensor: entry.name, "occurs twice")
            }
            entries.append(entry)
        }
        if algorithm == .xxh3_128 {
            let expected = Manifest.total(of: entries)
            guard total == expected else {
                throw CheckpointError(
                    file: path, "'total' is \(total), but its tensors have the total \(expected)",
                    hint: "the manifest was changed after it was written")
            }
        }
        self.init(algorithm: algorithm, total: total, entries: entries)
    }

    private static func entry(
        _ value: JSON, index: Int, _ algorithm: HashAlgorithm, path: String
    ) throws(CheckpointError) -> Entry {
        guard let name = value["name"]?.string else {
            throw CheckpointError(file: path, "tensor \(index) of the list has no name")
        }
        func wrong(_ problem: String) -> CheckpointError {
            CheckpointError(file: path, tensor: name, problem)
        }
        guard let typeName = value["dtype"]?.string, let dtype = DType(named: typeName), dtype.name == typeName else {
            throw wrong("has no known dtype")
        }
        guard let dimensions = value["shape"]?.array, dimensions.allSatisfy({ ($0.int ?? -1) >= 0 }) else {
            throw wrong("has no shape of integers")
        }
        let shape = dimensions.compactMap(\.int)
        guard let byteCount = Tensor.byteCount(dtype: dtype, shape: shape) else {
            throw wrong("of type \(dtype) cannot have the shape \(shape)")
        }
        guard value["byteCount"]?.int == byteCount else {
            throw wrong("of type \(dtype) and shape \(shape) needs \(byteCount.grouped) bytes; 'byteCount' differs")
        }
        guard let digest = value["hash"]?.string.flatMap({ Digest($0, algorithm: algorithm) }) else {
            throw wrong("has no hash of \(algorithm.digitCount) lower-case digits")
        }
        return Entry(name: name, dtype: dtype, shape: shape, digest: digest)
    }
}

extension String {
    /// At most forty characters of the text.
    fileprivate var shortened: String { utf8.count <= 40 ? self : String(prefix(40)) + "…" }
}
