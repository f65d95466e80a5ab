internal import Checkpoints

/// Where a kind of text comes from: its documents, which are opened one at a time.
struct TextKindSource: Sendable {
    let name: String
    var documents: [TextDocument] = []
    var isBuiltin = false
    /// Whether documents that are not text are left out; else they are an error.
    var skipsOtherFiles = false

    /// The kinds of a source that a user named: a file, a folder, or `builtin`.
    ///
    /// - Throws: when it is missing, is empty, or is neither a file nor a folder.
    static func kinds(of source: String) throws(CheckpointError) -> [TextKindSource] {
        if source == BuiltinText.name { return BuiltinText.kinds(judging: false) }
        switch FileSystem.kind(of: source) {
        case .missing: throw CheckpointError(file: source, "does not exist")
        case .other: throw CheckpointError(file: source, "is neither a file nor a folder")
        case .file:
            let document = TextDocument.file(source, byteCount: try FileSystem.byteCount(of: source))
            guard document.byteCount > 0 else { throw CheckpointError(file: source, "is empty") }
            return [TextKindSource(name: source, documents: [document])]
        case .folder:
            let documents = try files(in: source).filter { $0.byteCount > 0 }
            guard !documents.isEmpty else { throw CheckpointError(file: source, "holds no text file") }
            return [TextKindSource(name: source, documents: documents, skipsOtherFiles: true)]
        }
    }

    /// The files below a folder in the order of their names; links to folders are not followed.
    private static func files(in folder: String) throws(CheckpointError) -> [TextDocument] {
        var documents: [TextDocument] = []
        for name in try FileSystem.names(in: folder) {
            let path = (folder.hasSuffix("/") ? folder : folder + "/") + name
            if FileSystem.isOwnFolder(path) {
                documents += try files(in: path)
            } else if FileSystem.isRegularFile(path) {
                documents.append(.file(path, byteCount: try FileSystem.byteCount(of: path)))
            }
        }
        return documents
    }
}

/// A document: a file, or text in memory.
enum TextDocument: Sendable {
    case file(String, byteCount: Int)
    case text(String, bytes: [UInt8])

    var name: String {
        switch self {
        case .file(let path, _): path
        case .text(let name, _): name
        }
    }

    var byteCount: Int {
        switch self {
        case .file(_, let byteCount): byteCount
        case .text(_, let bytes): bytes.count
        }
    }

    func open() throws(CheckpointError) -> OpenText {
        switch self {
        case .file(let path, _): .mapped(try MappedFile(path: path))
        case .text(_, let bytes): .bytes(bytes)
        }
    }
}

/// The bytes of a document, for as long as they are read.
enum OpenText {
    case mapped(MappedFile)
    case bytes([UInt8])

    func withBytes<Result>(
        _ body: (UnsafeRawBufferPointer) throws(CheckpointError) -> Result
    ) throws(CheckpointError) -> Result {
        switch self {
        case .mapped(let file):
            // The file must stay mapped as long as its bytes are used.
            defer { withExtendedLifetime(file) {} }
            return try body(file.bytes)
        case .bytes(let bytes):
            var result: Swift.Result<Result, CheckpointError>?
            bytes.withUnsafeBytes { bytes in
                do throws(CheckpointError) { result = .success(try body(bytes)) } catch { result = .failure(error) }
            }
            guard let result else { preconditionFailure("the body always runs") }
            return try result.get()
        }
    }
}
