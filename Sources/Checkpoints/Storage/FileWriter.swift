internal import CStorage
internal import Synchronization
#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// A file that is written at known offsets, from any thread.
final class FileWriter: Sendable {
    /// The file's later name, for messages.
    private let name: String
    private let descriptor: PooledDescriptor
    private let syncs: Bool
    /// A lock for the thread that copies: the kernel lets one thread at a time write to a file, and others would spin.
    private let copying = Mutex(())

    /// Opens a file of a known size, which is a hole at first.
    ///
    /// - Parameters:
    ///   - path: where it is written.
    ///   - name: its final path, for messages.
    ///   - byteCount: its final size in bytes; existing contents stay.
    ///   - syncs: whether the file will be synced, so that writing to disk should begin early.
    init(path: String, named name: String, byteCount: Int, syncs: Bool = true) throws(CheckpointError) {
        self.name = name
        self.syncs = syncs
        let opened = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0o666)
        guard opened >= 0 else { throw .system("cannot open for writing", file: name, errno) }
        var status = stat()
        let isKnown = fstat(opened, &status) == 0
        descriptor = PooledDescriptor(
            opened, path: path, flags: O_RDWR | O_NOFOLLOW, identity: FileIdentity(status))
        // Continue the output of a killed run, unless it has a second name, which could be an input.
        guard isKnown, status.st_mode & S_IFMT == S_IFREG, status.st_nlink == 1 else {
            throw CheckpointError(file: path, "is not a file of an earlier run", hint: "remove it")
        }
        try use { (descriptor) throws(CheckpointError) in
            guard ftruncate(descriptor, off_t(byteCount)) == 0 else {
                if errno == EFBIG { throw noSpace(byteCount, "files here cannot be that large") }
                throw .system("cannot set the size", file: name, errno)
            }
        }
    }

    /// Calls `body` with the open file.
    private func use<Result>(_ body: (Int32) throws(CheckpointError) -> Result) throws(CheckpointError) -> Result {
        guard let result = try descriptor.with(body) else {
            throw CheckpointError(file: name, "was moved or removed while it was written")
        }
        return result
    }

    /// Gives the file the mode of the one that it replaces.
    func keepMode(isFinished: Bool) {
        // A file that was moved meanwhile is found out by the next write.
        _ = try? use { FileMode.keep(of: name, on: $0, isFinished: isFinished) }
    }

    private func noSpace(_ byteCount: Int, _ why: String) -> CheckpointError {
        CheckpointError(
            file: name, "no space for \(byteCount.grouped) bytes: \(why)",
            hint: "free some space, or write to another disk")
    }

    /// Reserves a range on the disk, so that a full disk shows before the first byte is written.
    ///
    /// A file system without reservations is not an error; there a full disk is detected later.
    func reserve(_ range: Range<Int>) throws(CheckpointError) {
        try use { (descriptor) throws(CheckpointError) in
            switch resect_reserve(descriptor, Int64(range.lowerBound), Int64(range.count)) {
            case ENOSPC, EDQUOT:
                let free = FileSystem.freeByteCount(of: descriptor).map { "the disk has \($0.grouped) free" }
                throw noSpace(range.count, free ?? "the disk is full")
            case EFBIG: throw noSpace(range.upperBound, "files here cannot be that large")
            default: return
            }
        }
    }

    /// Writes all bytes at an offset.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(CheckpointError) {
        try use { (descriptor) throws(CheckpointError) in
            var done = 0
            while done < bytes.count {
                let count = pwrite(
                    descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done, off_t(offset + done))
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { throw .system("cannot write", file: name, errno) }
                done += count
            }
        }
    }

    /// Writes all bytes at an offset.
    func write(_ bytes: [UInt8], at offset: Int) throws(CheckpointError) {
        let outcome: Result<Void, CheckpointError> = bytes.withUnsafeBytes { buffer in
            Result { () throws(CheckpointError) in try write(buffer, at: offset) }
        }
        try outcome.get()
    }

    /// Shares the blocks of a part of a range with this file instead of copying them, where the file system can.
    ///
    /// - Returns: the part of the range, counted from its start, that is done.
    func share(_ range: MappedRange, at offset: Int) -> Range<Int> {
        let block = FileWriter.blockByteCount
        let head = (block - range.byteOffset % block) % block
        let count = (range.byteCount - head) / block * block
        guard (offset + head) % block == 0, count >= FileWriter.leastSharedByteCount else { return 0..<0 }
        // A range that cannot be shared, for whatever reason, is copied, and the copy reports what is wrong.
        let code = try? use { (descriptor) throws(CheckpointError) in
            try range.file.descriptor.with { source in
                resect_share(
                    source, Int64(range.byteOffset + head), descriptor, Int64(offset + head), Int64(count))
            }
        }
        return (code ?? nil) == 0 ? head..<head + count : 0..<0
    }

    /// The alignment of shared blocks on XFS and btrfs with default settings.
    static let blockByteCount = 4096
    /// Smaller ranges are copied: sharing them would cost more in extents than it saves.
    static let leastSharedByteCount = 64 << 10

    /// Copies a range of a mapped file to an offset, inside the kernel if possible. Holes stay holes.
    func copy(_ range: MappedRange, at offset: Int) throws(CheckpointError) {
        for part in range.dataParts {
            try copyData(range, part, at: offset)
            startWriting(offset + part.lowerBound..<offset + part.upperBound)
        }
    }

    private func copyData(_ range: MappedRange, _ part: Range<Int>, at offset: Int) throws(CheckpointError) {
        let done = try use { (descriptor) throws(CheckpointError) in
            try range.file.descriptor.with { (source) throws(CheckpointError) in
                try copying.withLock { _ throws(CheckpointError) in
                    try copyInKernel(range, part, from: source, to: descriptor, at: offset)
                }
            }
        }
        // The kernel did not copy everything: it is another file system, or one that cannot.
        try copyThroughMemory(range, (done ?? part.lowerBound)..<part.upperBound, at: offset)
    }

    /// Copies inside the kernel as far as possible, and returns where it stopped.
    private func copyInKernel(
        _ range: MappedRange, _ part: Range<Int>, from source: Int32, to descriptor: Int32, at offset: Int
    ) throws(CheckpointError) -> Int {
        var done = part.lowerBound
        while done < part.upperBound {
            let count = Int(
                resect_copy_file_range(
                    source, Int64(range.byteOffset + done), descriptor, Int64(offset + done),
                    Int64(part.upperBound - done)))
            if count > 0 {
                done += count
                continue
            }
            if count == 0 { throw range.file.shortened }
            switch errno {
            case EINTR: continue
            case ENOSPC, EDQUOT, EFBIG, EIO: throw .system("cannot write", file: name, errno)
            default: return done
            }
        }
        return done
    }

    /// Reads and writes piece by piece.
    private func copyThroughMemory(
        _ range: MappedRange, _ part: Range<Int>, at offset: Int
    ) throws(CheckpointError) {
        if part.isEmpty { return }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
        defer { buffer.deallocate() }
        var done = part.lowerBound
        while done < part.upperBound {
            let limit = min(buffer.count, part.upperBound - done)
            let count = try range.read(at: done, into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<limit]))
            try write(UnsafeRawBufferPointer(rebasing: buffer[..<count]), at: offset + done)
            done += count
        }
    }

    /// Starts writing a range to disk in the background, so that the final sync is shorter.
    func startWriting(_ range: Range<Int>) {
        guard syncs else { return }
        // Only a hint, so ignore failures.
        _ = try? descriptor.with { resect_start_writing($0, Int64(range.lowerBound), Int64(range.count)) }
    }

    /// Waits until the bytes are on the disk.
    func sync() throws(CheckpointError) {
        try use { (descriptor) throws(CheckpointError) in
            guard fsync(descriptor) == 0 else { throw .system("cannot sync", file: name, errno) }
        }
    }
}

extension MappedRange {
    /// The parts of the range that are not holes, relative to its start.
    var dataParts: [Range<Int>] {
        guard file.allocatedByteCount < file.byteCount else { return [0..<byteCount] }
        // Holes only save work: without a list of them the whole range is copied.
        let parts = try? file.descriptor.with { dataParts(descriptor: $0) }
        return (parts ?? nil) ?? [0..<byteCount]
    }

    private func dataParts(descriptor: Int32) -> [Range<Int>] {
        var parts: [Range<Int>] = []
        var index = byteOffset
        let end = byteOffset + byteCount
        while index < end {
            var (from, to) = (Int64(0), Int64(0))
            switch resect_data_extent(descriptor, Int64(index), &from, &to) {
            case 0: break
            case ENXIO: return parts
            default: return parts + [index - byteOffset..<byteCount]
            }
            guard from < end, to > index else { return parts }
            let part = max(index, Int(from))..<min(end, Int(to))
            parts.append(part.lowerBound - byteOffset..<part.upperBound - byteOffset)
            index = part.upperBound
        }
        return parts
    }
}
