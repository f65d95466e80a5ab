/// A file in an archive for the container readers: its header is in memory, the rest is unpacked on request.
final class ArchiveMember: FileImage {
    let path: String
    private let archive: Archive
    private let file: ArchiveIndex.File
    private nonisolated(unsafe) let header: UnsafeMutableRawBufferPointer

    init(_ file: ArchiveIndex.File, of archive: Archive, path: String) throws(CheckpointError) {
        self.path = path
        self.archive = archive
        self.file = file
        // The header of the file: everything up to its first tensor.
        let first = archive.index.spans[file.spans].first { $0.layout > 0 || $0.base != .none }
        let count = first?.byteOffset ?? file.byteCount
        try archive.reserve(count, for: file.name)
        header = .allocate(byteCount: count, alignment: 64)
        // From here on deinit frees it, also when this fails.
        try archive.read(file, from: 0, into: header)
    }

    deinit { header.deallocate() }

    var byteCount: Int { file.byteCount }
    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(header) }
    var mappedFile: MappedFile { archive.file }

    func recipe(checked byteOffset: Int, _ byteCount: Int) -> Recipe {
        .archived(ArchiveRange(archive: archive, file: file, byteOffset: byteOffset, byteCount: byteCount))
    }
}

/// Bytes of a file in an archive; the range is checked.
struct ArchiveRange: ArchivedBytes {
    let archive: Archive
    let file: ArchiveIndex.File
    let byteOffset: Int
    let byteCount: Int

    var fileName: String { file.name }

    var description: String {
        let end = byteOffset + byteCount  // fits: the range lies in the file
        return "bytes \(byteOffset)..<\(end) of \(file.name) in \(archive.file.name)"
    }

    func read(from start: Int, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        precondition(start >= 0 && output.count <= byteCount - start)
        try archive.read(file, from: byteOffset + start, into: output)  // fits: the range lies in the file
    }
}
