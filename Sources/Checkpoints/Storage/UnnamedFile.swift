internal import CStorage

#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// An unnamed file for data that need not stay in memory. It disappears when nothing uses it any more. It is in
/// `TMPDIR` or `/var/tmp`, because `/tmp` is often in memory.
package struct UnnamedFile: ~Copyable {
    /// How many bytes were written.
    package private(set) var byteCount = 0
    private let name: String
    private let folder: String
    private let descriptor: Int32

    /// The folder for such files.
    static var temporaryFolder: String {
        guard let name = getenv("TMPDIR").map({ String(cString: $0) }), !name.isEmpty else { return "/var/tmp" }
        return name
    }

    /// An empty file.
    ///
    /// - Parameter name: what messages call it.
    package init(name: String) throws(CheckpointError) {
        self.name = name
        folder = UnnamedFile.temporaryFolder
        descriptor = resect_open_unnamed(folder)
        guard descriptor >= 0 else { throw .system("cannot create a temporary file", file: folder, errno) }
    }

    deinit { close(descriptor) }

    /// Adds bytes at the end.
    package mutating func append(_ bytes: UnsafeRawBufferPointer) throws(CheckpointError) {
        var done = 0
        while done < bytes.count {
            let written = write(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done)
            if written < 0, errno == EINTR { continue }
            guard written > 0 else {
                throw CheckpointError(
                    file: name,
                    "cannot be kept in \(folder) after \(byteCount.grouped) bytes: "
                        + String(cString: strerror(errno)).lowercased(), hint: "TMPDIR names another folder")
            }
            done += written
            byteCount += written  // fits: the size of a file
        }
    }

    /// The file, mapped for reading, once everything is written.
    consuming func mapped() throws(CheckpointError) -> MappedFile {
        let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0 else { throw .system("cannot read", file: name, errno) }
        return try MappedFile(descriptor: copy, path: name, isUnnamed: true)
    }

    /// The file, once everything is written, with recipes for ranges of it.
    package consuming func mapped(
        _ ranges: [Range<Int>]
    ) throws(CheckpointError) -> (file: MappedFile, recipes: [Recipe]) {
        let name = name, file = try mapped()
        return (
            file,
            try ranges.map { (range) throws(CheckpointError) in
                try file.recipe(range.lowerBound, range.count, tensor: name)
            }
        )
    }
}
