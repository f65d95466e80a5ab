#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// A checkpoint that comes through a pipe: what a map needs is a file, so the bytes are kept in one without a name.
enum StandardInput {
    /// What stands for standard input in place of a path.
    static let argument = "-"
    /// What messages call it.
    static let name = "standard input"

    /// Standard input as a mapped file: itself when it is a regular file, else a temporary one that holds all it gives.
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

    /// A file that holds all of standard input and disappears when it is closed.
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
