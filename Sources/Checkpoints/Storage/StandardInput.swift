internal import CStorage
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
        return try MappedFile(descriptor: try spooled(), path: name, isUnnamed: true)
    }

    /// A file that holds all of standard input and disappears when it is closed. It lies in `TMPDIR`, else in
    /// `/var/tmp`, because `/tmp` is often memory.
    private static func spooled() throws(CheckpointError) -> Int32 {
        let folder = getenv("TMPDIR").map { String(cString: $0) } ?? "/var/tmp"
        let descriptor = resect_open_unnamed(folder)
        guard descriptor >= 0 else { throw .system("cannot create a temporary file", file: folder, errno) }
        do throws(CheckpointError) {
            try spool(to: descriptor, folder: folder)
        } catch {
            close(descriptor)
            throw error
        }
        return descriptor
    }

    private static func spool(to descriptor: Int32, folder: String) throws(CheckpointError) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
        defer { buffer.deallocate() }
        var total = 0
        while true {
            let count = read(STDIN_FILENO, buffer.baseAddress, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw .system("cannot read", file: name, errno) }
            if count == 0 { return }
            var done = 0
            while done < count {
                let written = write(descriptor, buffer.baseAddress.map { $0 + done }, count - done)
                if written < 0, errno == EINTR { continue }
                guard written > 0 else {
                    throw CheckpointError(
                        file: name,
                        "cannot be kept in \(folder) after \((total + done).grouped) bytes: "
                            + String(cString: strerror(errno)).lowercased(), hint: "TMPDIR names another folder")
                }
                done += written
            }
            total += count
        }
    }
}
