import Checkpoints
import TestSupport
import Testing

/// A file that must be refused, and a part of the message that says why.
struct Hostile: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let bytes: [UInt8]
    let message: String

    init(_ name: String, _ bytes: [UInt8], _ message: String) {
        testDescription = name
        self.bytes = bytes
        self.message = message
    }

    /// Expects that opening a file of these bytes fails with the message, which names the file.
    func expectRefusal(fileName: String, sourceLocation: SourceLocation = #_sourceLocation) {
        let folder = TemporaryFolder()
        expectFailure(opening: folder.write(fileName, bytes), message, sourceLocation: sourceLocation)
    }
}

/// Expects that a path cannot be opened, for a reason that is said on one line.
func expectFailure(opening path: String, _ message: String, sourceLocation: SourceLocation = #_sourceLocation) {
    let error = #expect(throws: CheckpointError.self, sourceLocation: sourceLocation) { try Checkpoint.open(path) }
    expect(error, message, sourceLocation: sourceLocation)
}

/// Expects a part of a message, and that it is one line with a file before it.
func expect(_ error: CheckpointError?, _ message: String, sourceLocation: SourceLocation = #_sourceLocation) {
    guard let text = error?.description else { return }
    #expect(text.contains(message), sourceLocation: sourceLocation)
    #expect(error?.file != nil, sourceLocation: sourceLocation)
    #expect(!text.contains { $0.isNewline } && !text.hasSuffix("."), sourceLocation: sourceLocation)
}

/// What a reader and a writer must keep: names, types, shapes and bytes, in order.
struct Contents: Equatable {
    var tensors: [String]
    var bytes: [[UInt8]]

    init(_ checkpoint: Checkpoint) throws {
        tensors = checkpoint.tensors.map { "\($0.name) \($0.dtype) \($0.shape)" }
        bytes = try checkpoint.tensors.map { tensor in
            try tensor.withBytes(rows: 0..<tensor.rowCount) { [UInt8]($0) }
        }
    }
}
