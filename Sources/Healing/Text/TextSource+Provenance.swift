package import Analysis
package import Checkpoints
package import Formats
package import Surgery

extension Provenance {
    /// What a step says of a text: its name and its hash. That of a folder covers the names and bytes of all files in it, that
    /// of `builtin` all documents.
    package static func text(_ source: TextSource) throws(CheckpointError) -> JSON {
        if let path = source.path, FileSystem.kind(of: path) == .file { return try text(file: path) }
        var kinds = try TextKind.kinds(of: source)
        if source == .builtin { kinds += try TextKind.kinds(of: source, judging: true) }
        let documents = kinds.flatMap(\.documents)
        let prefix = source.path.map { $0.hasSuffix("/") ? $0 : $0 + "/" } ?? ""
        var digests: [(name: String, digest: Digest)] = []
        for document in documents { digests.append((document.name, try document.digest())) }
        // One text has the hash that it would have as a file.
        let isOne = source.path == nil && digests.count == 1
        let lines = digests.map { "\($0.name.dropFirst(prefix.count)) \($0.digest)\n" }.joined()
        return .object(
            JSONObject([
                ("name", .string(source.name.lastPathComponent)),
                ("byteCount", .int(documents.reduce(0) { $0 + $1.byteCount })),
                ("hash", .string("\(isOne ? digests[0].digest : Digest(of: Array(lines.utf8)))")),
            ]))
    }
}

extension TextDocument {
    /// A digest of its bytes or tokens.
    fileprivate func digest() throws(CheckpointError) -> Digest {
        if case .tokens(_, let tokens) = self { return tokens.withUnsafeBytes { Digest(of: $0) } }
        return try open().withBytes { Digest(of: $0) }
    }
}
