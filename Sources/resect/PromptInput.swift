internal import Analysis
internal import Checkpoints

#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// A prompt from standard input.
enum PromptInput {
    private static let name = "standard input"
    private static let limit = 64 << 20

    /// The whole text, without a line break at its end.
    ///
    /// - Throws: when it is too long or not UTF-8.
    static func text() throws(CheckpointError) -> String {
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = read(STDIN_FILENO, &piece, piece.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw .system("cannot read", file: name, errno) }
            if count == 0 { break }
            bytes += piece[..<count]
            guard bytes.count <= limit else {
                throw CheckpointError(file: name, "is too long for a prompt: more than \(limit.grouped) bytes")
            }
        }
        if let offset = bytes.withUnsafeBytes({ UTF8Check.firstInvalidByte($0) }) {
            throw CheckpointError(file: name, byteOffset: offset, "is not UTF-8 text")
        }
        if bytes.last == 0x0A {
            bytes.removeLast()
            if bytes.last == 0x0D { bytes.removeLast() }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
