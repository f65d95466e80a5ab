internal import CStorage
#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif
package import Formats

/// File system functions.
package enum FileSystem {
    /// What a path leads to.
    package enum Kind: Sendable {
        /// Nothing.
        case missing
        /// A regular file.
        case file
        /// A folder.
        case folder
        /// A device, a FIFO, a socket.
        case other
    }

    /// What a path leads to, through links.
    package static func kind(of path: String) -> Kind {
        var status = stat()
        guard stat(path, &status) == 0 else { return .missing }
        switch status.st_mode & S_IFMT {
        case S_IFREG: return .file
        case S_IFDIR: return .folder
        default: return .other
        }
    }

    /// Refuses the name of an output that is a link to nothing: it would be replaced, and nothing written where it leads.
    static func refuseDanglingLink(_ path: String) throws(CheckpointError) {
        // readlink(2) with a slash at the end follows the link.
        var name = path[...]
        while name.count > 1, name.last == "/" { name = name.dropLast() }
        var target = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        let count = readlink(String(name), &target, target.count - 1)
        guard count > 0, kind(of: String(name)) == .missing else { return }
        let place = String(decoding: target[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        throw CheckpointError(
            file: path, "is a link to '\(place)', which does not exist", hint: "name that path as the output")
    }

    /// Refuses a path at which nothing can be created, before what is to be written there is computed.
    static func checkCreation(_ path: String) throws(CheckpointError) {
        let (name, parent) = (path.lastPathComponent, path.deletingLastPathComponent)
        let longest = pathconf(parent, Int32(_PC_NAME_MAX))
        if longest > 0, name.utf8.count > longest {
            throw CheckpointError(
                file: path,
                "cannot create: the name has \(name.utf8.count) bytes, and the disk takes at most \(longest)")
        }
        if access(parent, W_OK | X_OK) != 0 { throw .system("cannot create", file: path, errno) }
    }

    /// A path without links; `nil` when it leads to nothing.
    static func resolved(_ path: String) -> String? {
        guard let real = realpath(path, nil) else { return nil }
        defer { free(real) }
        return String(cString: real)
    }

    /// A path that leads to the same from everywhere; the path itself when it leads to nothing.
    package static func absolute(_ path: String) -> String { resolved(path) ?? path }

    /// Whether a path leads to a regular file.
    package static func isRegularFile(_ path: String) -> Bool { kind(of: path) == .file }

    /// Whether a path is that of a folder, and not of a link to one.
    package static func isOwnFolder(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// The size of the file that a path leads to.
    package static func byteCount(of path: String) throws(CheckpointError) -> Int {
        var status = stat()
        guard stat(path, &status) == 0 else { throw .system("cannot read the size", file: path, errno) }
        return Int(status.st_size)
    }

    /// The names in a folder, sorted by bytes, by default without hidden ones.
    package static func names(in path: String, hidden: Bool = false) throws(CheckpointError) -> [String] {
        guard let folder = opendir(path) else { throw .system("cannot list", file: path, errno) }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 1) { String(cString: $0) }
            }
            let isHidden = name.hasPrefix(".") && (!hidden || name == "." || name == "..")
            if !isHidden { names.append(name) }
        }
        return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    /// Removes everything in an open folder, which is closed. Links are removed, not followed.
    static func empty(_ descriptor: Int32) {
        guard let folder = fdopendir(descriptor) else {
            close(descriptor)
            return
        }
        defer { closedir(folder) }
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 1) { String(cString: $0) }
            }
            if name == "." || name == ".." || unlinkat(descriptor, name, 0) == 0 { continue }
            let inner = openat(descriptor, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            guard inner >= 0 else { continue }
            empty(inner)
            unlinkat(descriptor, name, Int32(AT_REMOVEDIR))
        }
    }

    /// The whole of a small file.
    package static func contents(of path: String, limit: Int) throws(CheckpointError) -> [UInt8] {
        let file = try MappedFile(path: path)
        guard file.byteCount <= limit else {
            throw CheckpointError(
                file: path, "has \(file.byteCount.grouped) bytes; at most \(limit.grouped) are read")
        }
        // Without this the file could be unmapped after its last mention and before the copy.
        return withExtendedLifetime(file) { [UInt8](file.bytes) }
    }

    /// A JSON object in a file's bytes.
    ///
    /// - Parameter allowsNonFinite: whether `Infinity` and `NaN` are allowed, as in files from Python.
    package static func json(
        _ contents: [UInt8], path: String, allowsNonFinite: Bool = true
    ) throws(CheckpointError) -> JSONObject {
        let value: Result<JSON, JSONError> = contents.withUnsafeBytes { bytes in
            do throws(JSONError) {
                return .success(try JSON.parse(bytes, allowsNonFinite: allowsNonFinite))
            } catch {
                return .failure(error)
            }
        }
        switch value {
        case .success(.object(let object)): return object
        case .success: throw CheckpointError(file: path, "is not a JSON object")
        case .failure(let error):
            throw CheckpointError(file: path, byteOffset: error.byteOffset, error.problem)
        }
    }

    /// The free bytes on the file system of a path; `nil` when unknown.
    package static func freeByteCount(at path: String) -> Int? {
        var status = statvfs()
        guard statvfs(path, &status) == 0 else { return nil }
        let (bytes, overflow) = Int(status.f_bavail).multipliedReportingOverflow(by: Int(status.f_frsize))
        return overflow ? Int.max : bytes
    }

    /// The free bytes on the file system of an open file; `nil` when unknown.
    static func freeByteCount(of descriptor: Int32) -> Int? {
        var status = statvfs()
        guard fstatvfs(descriptor, &status) == 0 else { return nil }
        let (bytes, overflow) = Int(status.f_bavail).multipliedReportingOverflow(by: Int(status.f_frsize))
        return overflow ? Int.max : bytes
    }

    /// Whether files in a folder can share blocks: on XFS, btrfs and bcachefs.
    static func sharesBlocks(_ path: String) -> Bool { resect_shares_blocks(path) }

    /// Waits until the names in a folder are on the disk.
    static func syncFolder(_ path: String) {
        let folder = open(path, O_RDONLY | O_CLOEXEC)
        guard folder >= 0 else { return }
        fsync(folder)
        close(folder)
    }

    /// How many processors this process may use.
    package static var processorCount: Int { max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))) }
}
