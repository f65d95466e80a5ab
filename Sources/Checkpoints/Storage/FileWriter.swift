internal import CStorage
#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// A file that is being written at known offsets, from any thread.
final class FileWriter: Sendable {
    /// The file's later name, for messages.
    private let name: String
    private let descriptor: Int32

    /// Opens a file and reserves its final size on the disk.
    ///
    /// - Parameters:
    ///   - path: where it is written.
    ///   - name: where it will be, which is what messages say.
    init(path: String, named name: String, byteCount: Int) throws(CheckpointError) {
        self.name = name
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw .system("cannot open for writing", file: name, errno) }
        if byteCount > 0 {
            switch resect_reserve(descriptor, 0, Int64(byteCount)) {
            case 0: break
            case ENOSPC, EFBIG, EDQUOT:
                throw CheckpointError(
                    file: name, "no space for \(byteCount.grouped) bytes",
                    hint: "free some space, or write to another disk")
            default:
                // A file system without reservations: the size is set, and a full disk shows later.
                guard ftruncate(descriptor, off_t(byteCount)) == 0 else {
                    throw .system("cannot set the size", file: name, errno)
                }
            }
        }
    }

    deinit { close(descriptor) }

    /// Writes all bytes at an offset.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(CheckpointError) {
        var done = 0
        while done < bytes.count {
            let count = pwrite(
                descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done, off_t(offset + done))
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw .system("cannot write", file: name, errno) }
            done += count
        }
    }

    /// Writes all bytes at an offset.
    func write(_ bytes: [UInt8], at offset: Int) throws(CheckpointError) {
        let outcome: Result<Void, CheckpointError> = bytes.withUnsafeBytes { buffer in
            Result { () throws(CheckpointError) in try write(buffer, at: offset) }
        }
        try outcome.get()
    }

    /// Copies a range of a mapped file to an offset, inside the kernel where that is possible.
    func copy(_ range: MappedRange, at offset: Int) throws(CheckpointError) {
        defer { resect_start_writing(descriptor, Int64(offset), Int64(range.byteCount)) }
        var done = 0
        while done < range.byteCount {
            let count = Int(
                resect_copy_file_range(
                    range.file.descriptor, Int64(range.byteOffset + done), descriptor,
                    Int64(offset + done), Int64(range.byteCount - done)))
            if count > 0 {
                done += count
                continue
            }
            if count == 0 { throw range.file.shortened }
            switch errno {
            case EINTR: continue
            case ENOSPC, EDQUOT, EFBIG, EIO: throw .system("cannot write", file: name, errno)
            default:
                // Another file system, or one that cannot copy.
                try copyThroughMemory(range, from: done, at: offset)
                return
            }
        }
    }

    /// Reads and writes piece by piece: unlike the map, a file that became shorter is then an error and no signal.
    private func copyThroughMemory(
        _ range: MappedRange, from start: Int, at offset: Int
    ) throws(CheckpointError) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
        defer { buffer.deallocate() }
        var done = start
        while done < range.byteCount {
            let count = try range.read(at: done, into: buffer)
            try write(UnsafeRawBufferPointer(rebasing: buffer[..<count]), at: offset + done)
            done += count
        }
    }

    /// Waits until the bytes are on the disk.
    func sync() throws(CheckpointError) {
        guard fsync(descriptor) == 0 else { throw .system("cannot sync", file: name, errno) }
    }
}
