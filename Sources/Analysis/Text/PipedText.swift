package import Checkpoints

#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// Text on standard input, which can be read only once, so that a corpus is kept in memory.
package enum PipedText {
    /// The bytes of a corpus.
    static let bytes: Result<[UInt8], CheckpointError> = Result { () throws(CheckpointError) in
        guard isatty(STDIN_FILENO) == 0 else {
            throw CheckpointError(file: name, "is a terminal, not a text", hint: "pipe a text into it, or name a file")
        }
        return try read(limit: .max)
    }

    private static let name = "standard input"

    /// A prompt: the whole text, without a line break at its end. It may be typed on a terminal.
    ///
    /// - Throws: when the text has more than 64 MiB or is not UTF-8.
    package static func prompt() throws(CheckpointError) -> String {
        var bytes = try read(limit: 64 << 20)
        if let offset = bytes.withUnsafeBytes({ UTF8Check.firstInvalidByte($0) }) {
            throw CheckpointError(file: name, byteOffset: offset, "is not UTF-8 text")
        }
        if bytes.last == 0x0A {
            bytes.removeLast()
            if bytes.last == 0x0D { bytes.removeLast() }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Reads to the end.
    private static func read(limit: Int) throws(CheckpointError) -> [UInt8] {
        var bytes: [UInt8] = []
        let size = 1 << 20
        while true {
            var count = 0
            let piece = [UInt8](unsafeUninitializedCapacity: size) { buffer, filled in
                count = readInput(buffer.baseAddress, size)
                filled = max(0, count)
            }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw .system("cannot read", file: name, errno) }
            if count == 0 { return bytes }
            bytes += piece
            guard bytes.count <= limit else {
                throw CheckpointError(file: name, "is too long for a prompt: more than \(limit.grouped) bytes")
            }
        }
    }
}

private func readInput(_ buffer: UnsafeMutablePointer<UInt8>?, _ size: Int) -> Int { read(STDIN_FILENO, buffer, size) }
