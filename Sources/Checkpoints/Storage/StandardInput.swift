#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// A checkpoint from standard input. Mapping needs a file, so the bytes of a pipe are stored in an unnamed one.
enum StandardInput {
    /// The argument that means standard input.
    static let argument = "-"
    /// Its name in messages.
    static let name = "standard input"

    /// Standard input as a mapped file: itself when it is a regular file, else a temporary copy.
    static func file() throws(CheckpointError) -> MappedFile {
        guard isatty(STDIN_FILENO) == 0 else {
            throw CheckpointError(
                file: name, "is a terminal, not a checkpoint", hint: "pipe a file into it, or name one")
        }
        var status = stat()
        guard fstat(STDIN_FILENO, &status) == 0 else { throw .system("cannot read", file: name, errno) }
        if status.st_mode & S_IFMT == S_IFREG, lseek(STDIN_FILENO, 0, SEEK_CUR) == 0 {
            let descriptor = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
            guard descriptor >= 0 else { throw .system("cannot read", file: name, errno) }
            return try MappedFile(descriptor: descriptor, path: name, isUnnamed: true)
        }
        return try spooled()
    }

    /// A copy of standard input in a file that disappears when it is closed.
    private static func spooled() throws(CheckpointError) -> MappedFile {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
        defer { buffer.deallocate() }
        var file = try UnnamedFile(name: name)
        while true {
            let count = read(STDIN_FILENO, buffer.baseAddress, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw .system("cannot read", file: name, errno) }
            if count == 0 { return try file.mapped() }
            try file.append(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        }
    }
}
