package import Checkpoints

/// A kind of text: its documents, which are opened one at a time.
package struct TextKind: Sendable {
    /// What messages and reports call it.
    package let name: String
    /// The documents in order.
    package internal(set) var documents: [TextDocument] = []
    /// Whether it comes with resect.
    package internal(set) var isBuiltin = false
    /// Whether documents that are not text are left out; else they are an error.
    package internal(set) var skipsOtherFiles = false

    /// The kinds of a source.
    ///
    /// - Parameter judging: whether `builtin` gives the documents that are held out for evaluation.
    /// - Throws: when the source is missing, is empty, or is not a regular file or a folder.
    package static func kinds(of source: TextSource, judging: Bool = false) throws(CheckpointError) -> [TextKind] {
        let name = source.name
        switch source.origin {
        case .builtin: return BuiltinText.kinds(judging: judging)
        case .path(let path): return [try kind(at: path)]
        case .standardInput: return [try kind(name, .text(name, bytes: PipedText.bytes.get()))]
        case .text(let bytes): return [try kind(name, .text(name, bytes: bytes))]
        case .tokens(let tokens): return [try kind(name, .tokens(name, tokens))]
        }
    }

    /// A kind of one document.
    private static func kind(_ name: String, _ document: TextDocument) throws(CheckpointError) -> TextKind {
        guard !document.isEmpty else { throw CheckpointError(file: name, "is empty") }
        return TextKind(name: name, documents: [document])
    }

    private static func kind(at path: String) throws(CheckpointError) -> TextKind {
        switch FileSystem.kind(of: path) {
        case .missing: throw CheckpointError(file: path, "does not exist")
        case .other:
            throw CheckpointError(
                file: path, "is not a regular file", hint: "for a pipe give - and redirect it: --corpus - < pipe")
        case .file: return try kind(path, .file(path, byteCount: FileSystem.byteCount(of: path)))
        case .folder:
            let documents = try files(in: path).filter { !$0.isEmpty }
            guard !documents.isEmpty else { throw CheckpointError(file: path, "holds no text file") }
            return TextKind(name: path, documents: documents, skipsOtherFiles: true)
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

/// A document: a file, text in memory, or tokens.
package enum TextDocument: Sendable {
    case file(String, byteCount: Int)
    case text(String, bytes: [UInt8])
    case tokens(String, [Int32])

    /// What messages call it.
    package var name: String {
        switch self {
        case .file(let path, _): path
        case .text(let name, _), .tokens(let name, _): name
        }
    }

    /// The bytes of its text; 0 for tokens.
    package var byteCount: Int {
        switch self {
        case .file(_, let byteCount): byteCount
        case .text(_, let bytes): bytes.count
        case .tokens: 0
        }
    }

    /// Whether there is nothing in it.
    var isEmpty: Bool { if case .tokens(_, let tokens) = self { tokens.isEmpty } else { byteCount == 0 } }

    /// The bytes of its text.
    package func open() throws(CheckpointError) -> OpenText {
        switch self {
        case .file(let path, _): .mapped(try MappedFile(path: path))
        case .text(_, let bytes): .bytes(bytes)
        case .tokens: .bytes([])
        }
    }
}

/// The bytes of a document, for as long as they are read.
package enum OpenText {
    case mapped(MappedFile)
    case bytes([UInt8])

    /// Calls `body` with the bytes.
    package func withBytes<Result>(
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
