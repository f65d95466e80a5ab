internal import CStorage

#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// A large block of memory, zeros at first, which an unnamed file backs, so that the system can move pages that are not
/// in use to the disk.
package final class PagedMemory: Sendable {
    /// The start, aligned to a page.
    package nonisolated(unsafe) let base: UnsafeMutableRawPointer
    /// How many bytes may be used.
    package let byteCount: Int

    /// Allocates memory.
    ///
    /// - Parameters:
    ///   - name: what messages call it.
    ///   - isSpilled: whether a file in `TMPDIR`, else in `/var/tmp`, backs it; else it is ordinary memory.
    /// - Throws: when the system does not give the memory, or the disk is full.
    package init(byteCount: Int, name: String, isSpilled: Bool) throws(CheckpointError) {
        self.byteCount = byteCount
        let size = max(byteCount, 1)
        var descriptor: Int32 = -1
        if isSpilled {
            let folder = UnnamedFile.temporaryFolder
            descriptor = resect_open_unnamed(folder)
            guard descriptor >= 0 else {
                throw .system("cannot create a temporary file for \(name)", file: folder, errno)
            }
            // The space is reserved at once: a full disk would end the process later.
            var failure = resect_reserve(descriptor, 0, Int64(size))
            if failure == ENOSYS || failure == EOPNOTSUPP {
                failure = ftruncate(descriptor, off_t(size)) == 0 ? 0 : errno
            }
            guard failure == 0 else {
                close(descriptor)
                throw .system("cannot keep \(byteCount.grouped) bytes of \(name)", file: folder, failure)
            }
        }
        defer { if descriptor >= 0 { close(descriptor) } }
        let flags = isSpilled ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS
        let memory = mmap(nil, size, PROT_READ | PROT_WRITE, flags, descriptor, 0)
        guard let memory, memory != MAP_FAILED else {
            throw CheckpointError("no memory for \(byteCount.grouped) bytes of \(name)")
        }
        base = memory
    }

    deinit { munmap(base, max(byteCount, 1)) }

    /// The memory as floats.
    package var floats: UnsafeMutablePointer<Float> { base.assumingMemoryBound(to: Float.self) }
}
