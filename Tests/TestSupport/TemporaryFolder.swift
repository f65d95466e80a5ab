#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// An empty folder that goes away, with everything in it, when the value does.
public final class TemporaryFolder: Sendable {
    /// Its path.
    public let path: String

    /// Makes a folder with a name of its own.
    public init() {
        let base = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(base)/resect-tests-XXXXXX".utf8CString)
        precondition(mkdtemp(&template) != nil, "\(base): no temporary folder can be made")
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { TemporaryFolder.remove(path) }

    /// The path of a name in the folder.
    public func callAsFunction(_ name: String) -> String { path + "/" + name }

    /// Writes a file and gives its path.
    @discardableResult
    public func write(_ name: String, _ bytes: [UInt8]) -> String {
        Files.write(path + "/" + name, bytes)
        return path + "/" + name
    }

    /// Writes a text file and gives its path.
    @discardableResult
    public func write(_ name: String, _ text: String) -> String { write(name, Array(text.utf8)) }

    /// Makes a folder in the folder and gives its path.
    @discardableResult
    public func makeFolder(_ name: String) -> String {
        precondition(mkdir(path + "/" + name, 0o777) == 0)
        return path + "/" + name
    }

    /// Everything in the folder, the hidden names too, sorted.
    public var names: [String] { Files.names(path) }

    private static func remove(_ path: String) {
        if unlink(path) == 0 { return }
        for name in Files.names(path) { remove(path + "/" + name) }
        rmdir(path)
    }
}

/// What tests do to files besides what is tested.
public enum Files {
    /// Writes a whole file.
    public static func write(_ path: String, _ bytes: [UInt8]) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
        precondition(descriptor >= 0, "\(path) cannot be written")
        var done = 0
        bytes.withUnsafeBytes { buffer in
            while done < buffer.count {
                let count = pwrite(descriptor, buffer.baseAddress.map { $0 + done }, buffer.count - done, off_t(done))
                precondition(count > 0)
                done += count
            }
        }
        close(descriptor)
    }

    /// Reads a whole file.
    public static func read(_ path: String) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        precondition(descriptor >= 0, "\(path) cannot be read")
        defer { close(descriptor) }
        let size = Int(lseek(descriptor, 0, SEEK_END))
        return [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            count = size == 0 ? 0 : pread(descriptor, buffer.baseAddress, size, 0)
        }
    }

    /// The names in a folder, the hidden ones too, sorted.
    public static func names(_ path: String) -> [String] {
        guard let folder = opendir(path) else { return [] }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 1) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// Sets the size of a file; what is added takes no space.
    public static func truncate(_ path: String, _ byteCount: Int) {
        let descriptor = open(path, O_WRONLY | O_CLOEXEC)
        precondition(descriptor >= 0 && ftruncate(descriptor, off_t(byteCount)) == 0)
        close(descriptor)
    }

    /// Writes over a part of a file.
    public static func overwrite(_ path: String, at offset: Int, _ bytes: [UInt8]) {
        let descriptor = open(path, O_WRONLY | O_CLOEXEC)
        precondition(
            descriptor >= 0
                && bytes.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, off_t(offset)) } == bytes.count)
        close(descriptor)
    }

    /// The bytes that a file takes on its disk.
    public static func allocatedByteCount(_ path: String) -> Int {
        var status = stat()
        precondition(stat(path, &status) == 0)
        return Int(status.st_blocks) * 512
    }

    /// Removes a file, when it is there.
    public static func remove(_ path: String) { unlink(path) }

    /// A second name for a file.
    public static func hardLink(_ path: String, to target: String) {
        precondition(link(target, path) == 0)
    }

    /// A symbolic link.
    public static func symbolicLink(_ path: String, to target: String) {
        precondition(symlink(target, path) == 0)
    }

    /// A FIFO.
    public static func fifo(_ path: String) { precondition(mkfifo(path, 0o666) == 0) }
}
