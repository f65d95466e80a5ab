#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// A regular file mapped for reading, for as long as anything refers to it.
public final class MappedFile: Sendable, CustomStringConvertible {
    /// The path, as the user named it or as it was found in a folder.
    public let path: String
    /// The last component of the path.
    public let name: String
    /// Bytes in the file when it was opened.
    public let byteCount: Int
    /// Device and inode: what makes two paths the same file.
    package let identity: FileIdentity
    /// The bytes of the file on disk: fewer than its size when it has holes.
    let allocatedByteCount: Int
    /// The open file, for reads that do not go through the map.
    let descriptor: PooledDescriptor
    private nonisolated(unsafe) let base: UnsafeRawPointer?
    private let source: MappedFileState

    /// Opens and maps a file. Only regular files: a device or a FIFO is refused without blocking.
    ///
    /// - Throws: `CheckpointError` that names the path.
    public convenience init(path: String) throws(CheckpointError) {
        let descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { throw .system("cannot open", file: path, errno) }
        try self.init(descriptor: descriptor, path: path, isUnnamed: false)
    }

    /// Maps an open file, which is closed with the map or before, also when this fails.
    ///
    /// - Parameter isUnnamed: whether the file has no name, so that the path does not lead to it.
    init(descriptor: Int32, path: String, isUnnamed: Bool) throws(CheckpointError) {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            let code = errno
            close(descriptor)
            throw .system("cannot read the size", file: path, code)
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            throw CheckpointError(file: path, "is not a regular file")
        }
        let byteCount = Int(status.st_size)  // fits: off_t is no wider
        var base: UnsafeRawPointer?
        if byteCount > 0 {
            guard let map = mmap(nil, byteCount, PROT_READ, MAP_SHARED, descriptor, 0),
                map != MAP_FAILED
            else {
                let code = errno
                close(descriptor)
                throw .system("cannot map", file: path, code)
            }
            base = UnsafeRawPointer(map)
        }
        self.path = path
        name = path.lastPathComponent
        self.byteCount = byteCount
        self.identity = FileIdentity(status)
        self.allocatedByteCount = Int(status.st_blocks) * 512  // fits: no disk is larger
        self.descriptor = PooledDescriptor(
            descriptor, path: path, flags: O_RDONLY | O_NONBLOCK, identity: identity, isUnnamed: isUnnamed)
        self.base = base
        source = MappedFileState(path: path, descriptor: self.descriptor, status: status, base: base)
        MappedFiles.add(source)
    }

    deinit {
        MappedFiles.remove(source)
        if let base { munmap(UnsafeMutableRawPointer(mutating: base), byteCount) }
    }

    /// The path.
    public var description: String { path }

    /// The whole file.
    package var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: byteCount) }

    /// The file and its state when it was opened, in words.
    var state: String { source.state }

    /// The error for a read beyond the end of the file, which has become shorter.
    var shortened: CheckpointError { source.shortened }

    /// Compares the file with its state when it was opened.
    ///
    /// - Throws: when it was written to since then: what was read may be partly old and partly new.
    package func checkUnchanged() throws(CheckpointError) {
        if let problem = source.problem { throw problem }
    }
}

/// A checked range of a mapped file.
public struct MappedRange: Sendable {
    /// The file.
    public let file: MappedFile
    /// Where the range starts in the file.
    public let byteOffset: Int
    /// How long it is.
    public let byteCount: Int

    /// Where it ends in the file.
    var byteEnd: Int { byteOffset + byteCount }  // fits: the range lies in the file

    /// A part of the range, counted from its start.
    ///
    /// - Precondition: the part is within the range.
    func part(_ part: Range<Int>) -> MappedRange {
        precondition(part.lowerBound >= 0 && part.upperBound <= byteCount)
        let start = byteOffset + part.lowerBound  // fits: a position in the file
        return MappedRange(file: file, byteOffset: start, byteCount: part.count)
    }

    /// The bytes of a part of the range.
    ///
    /// - Precondition: the part is within the range.
    package func bytes(_ offset: Int, _ count: Int) -> UnsafeRawBufferPointer {
        precondition(offset >= 0 && count >= 0 && offset <= byteCount && count <= byteCount - offset)
        let start = byteOffset + offset  // fits: a position in the file
        return UnsafeRawBufferPointer(rebasing: file.bytes[start...].prefix(count))
    }

    /// The bytes of some rows.
    ///
    /// - Precondition: the rows are within the range.
    func rows(_ rows: Range<Int>, _ rowByteCount: Int) -> UnsafeRawBufferPointer {
        let (offset, isFar) = rows.lowerBound.multipliedReportingOverflow(by: rowByteCount)
        let (count, isLong) = rows.count.multipliedReportingOverflow(by: rowByteCount)
        precondition(!isFar && !isLong)
        return bytes(offset, count)
    }
}

extension MappedRange {
    /// Reads from an offset in the range, as much as the buffer takes, not through the map: a file that became shorter
    /// is then an error at once.
    ///
    /// - Returns: how many bytes were read, at least one.
    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(CheckpointError) -> Int {
        let wanted = min(buffer.count, byteCount - offset)
        let count = try file.descriptor.with { (descriptor) throws(CheckpointError) in
            while true {
                let position = off_t(byteOffset + offset)  // fits: a position in the file
                let count = pread(descriptor, buffer.baseAddress, wanted, position)
                if count < 0, errno == EINTR { continue }
                guard count >= 0 else { throw .system("cannot read", file: file.path, errno) }
                if count == 0 { throw file.shortened }
                return count
            }
        }
        if let count { return count }
        // Another file has its name now. What was mapped is still there.
        buffer.copyMemory(from: bytes(offset, wanted))
        return wanted
    }
}

/// Device and inode of a file.
package struct FileIdentity: Hashable, Sendable {
    private let device: UInt64
    private let inode: UInt64

    init(_ status: stat) {
        device = UInt64(truncatingIfNeeded: status.st_dev)
        inode = UInt64(truncatingIfNeeded: status.st_ino)
    }

    /// Whether a path leads to something on the same device.
    func isOnDevice(of path: String) -> Bool { FileIdentity(path: path)?.device == device }

    /// The identity of what a path leads to; `nil` when nothing is there.
    package init?(path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        self.init(status)
    }
}

extension CheckpointError {
    /// A failed system call, with the system's own words.
    package static func system(_ what: String, file: String, _ code: Int32) -> CheckpointError {
        CheckpointError(file: file, "\(what): \(String(cString: strerror(code)).lowercased())")
    }
}

extension String {
    /// The text after the last slash.
    package var lastPathComponent: String {
        var text = self[...]
        while text.count > 1, text.last == "/" { text = text.dropLast() }
        guard let slash = text.lastIndex(of: "/"), text.count > 1 else { return String(text) }
        return String(text[text.index(after: slash)...])
    }

    /// The text before the last component; `.` when there is none.
    package var deletingLastPathComponent: String {
        var text = self[...]
        while text.count > 1, text.last == "/" { text = text.dropLast() }
        guard let slash = text.lastIndex(of: "/") else { return "." }
        return slash == text.startIndex ? "/" : String(text[..<slash])
    }
}
