internal import Checkpoints

#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// The text that is piped into the program. It can be read once, so it is kept for those who ask again.
enum PipedText {
    /// The bytes of standard input.
    static let bytes: Result<[UInt8], CheckpointError> = Result { () throws(CheckpointError) in try collect() }

    private static let name = "standard input"

    private static func collect() throws(CheckpointError) -> [UInt8] {
        guard isatty(STDIN_FILENO) == 0 else {
            throw CheckpointError(file: name, "is a terminal, not a text", hint: "pipe a text into it, or name a file")
        }
        var bytes: [UInt8] = []
        let size = 1 << 20
        while true {
            var count = 0
            let piece = [UInt8](unsafeUninitializedCapacity: size) { buffer, filled in
                count = read(STDIN_FILENO, buffer.baseAddress, size)
                filled = max(0, count)
            }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw .system("cannot read", file: name, errno) }
            if count == 0 { return bytes }
            bytes += piece
        }
    }
}
