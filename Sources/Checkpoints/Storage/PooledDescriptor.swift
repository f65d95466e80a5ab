internal import CStorage
internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// The descriptor of a file that is in use for long: kept open while few are, else closed and opened again for every
/// use.
///
/// A model may have more shards than a process may have open files (`ulimit -n`: 256 on macOS), and a map needs no
/// descriptor.
final class PooledDescriptor: Sendable {
    private let path: String
    private let flags: Int32
    private let identity: FileIdentity
    /// The open file; `nil` when it is opened for every use.
    private let kept: Int32?

    private static let keptCount = Mutex(0)
    /// The number of files kept open: a quarter of the limit of the process.
    private static let maximumKept = Int(min(max(resect_open_file_limit(), 64) / 4, 4096))

    /// Takes over an open file; closes it now or when the value is released.
    ///
    /// - Parameters:
    ///   - path: the path under which it is opened again.
    ///   - flags: the flags of `open` for that.
    ///   - isUnnamed: whether the file has no name, so that it must stay open.
    init(_ descriptor: Int32, path: String, flags: Int32, identity: FileIdentity, isUnnamed: Bool = false) {
        self.path = path
        self.flags = flags | O_CLOEXEC
        self.identity = identity
        let isKept = PooledDescriptor.keptCount.withLock { count in
            guard isUnnamed || count < PooledDescriptor.maximumKept else { return false }
            count += 1
            return true
        }
        kept = isKept ? descriptor : nil
        if !isKept { close(descriptor) }
    }

    deinit {
        guard let kept else { return }
        close(kept)
        PooledDescriptor.keptCount.withLock { $0 -= 1 }
    }

    /// Calls `body` with the open file.
    ///
    /// - Returns: the result of `body`; `nil` when the file is closed and its path no longer leads to it.
    func with<Result>(_ body: (Int32) throws(CheckpointError) -> Result) throws(CheckpointError) -> Result? {
        if let kept { return try body(kept) }
        let descriptor = open(path, flags)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, FileIdentity(status) == identity else { return nil }
        return try body(descriptor)
    }
}
