internal import Formats
internal import Parallel

/// Restores the files of an archive, byte for byte.
public struct ArchiveUnpacker: Sendable {
    /// What was restored.
    public struct Summary: Sendable {
        /// The bytes of all files.
        public var byteCount: Int
        /// How many files there are.
        public var files: Int
    }

    /// Whether an existing output is replaced.
    public var replaces: Bool
    /// How many threads unpack.
    public var threads: Int
    /// Called with the bytes done and the bytes in all, from any thread.
    public var progress: (@Sendable (_ done: Int, _ total: Int) -> Void)?

    /// An unpacker.
    ///
    /// - Parameters:
    ///   - replaces: whether an existing output is replaced.
    ///   - threads: how many threads unpack.
    ///   - progress: called with the bytes done and the bytes in all, from any thread.
    public init(
        replaces: Bool = false, threads: Int, progress: (@Sendable (_ done: Int, _ total: Int) -> Void)? = nil
    ) {
        self.replaces = replaces
        self.threads = threads
        self.progress = progress
    }

    /// Unpacks an archive.
    ///
    /// - Parameters:
    ///   - archivePath: the archive.
    ///   - base: the checkpoint that a patch refers to; `nil` for an archive that is no patch.
    ///   - path: the output: a file, or a folder when the archive holds one.
    /// - Returns: how much was restored.
    /// - Throws: when the archive is damaged, the base is another one, or the output exists; nothing is left on disk
    ///   then.
    @discardableResult
    public func unpack(
        _ archivePath: String, against base: Checkpoint? = nil, to path: String
    ) throws(CheckpointError) -> Summary {
        let path = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
        let file = try MappedFile(path: archivePath)
        guard Archive.isArchive(file) else { throw CheckpointError(file: archivePath, "is not an archive") }
        var archive = try Archive(file)
        switch (archive.index.base, base) {
        case (nil, _?):
            throw CheckpointError(
                file: archivePath, "is a whole archive, not a patch", hint: "leave --against out")
        case (_?, nil):
            throw CheckpointError(
                file: archivePath, "is a patch on another checkpoint", hint: "name that one with --against")
        default: break
        }
        try check(path, archive, base)
        if let wanted = archive.index.base, let base {
            archive = Archive(archive, base: try wanted.tensors(in: base, patch: archivePath, threads: threads))
        }
        try restore(archive, to: path)
        for source in [file] + (base?.sources ?? []) { try source.checkUnchanged() }
        return Summary(byteCount: archive.index.byteCount, files: archive.index.files.count)
    }

    /// Checks what can be known before the first byte is written.
    private func check(_ path: String, _ archive: Archive, _ base: Checkpoint?) throws(CheckpointError) {
        let isFolder = archive.index.kind != .file
        let kind = FileSystem.kind(of: path)
        let inputs = [archive.file] + (base?.sources ?? [])
        if let identity = FileIdentity(path: path),
            inputs.contains(where: {
                $0.identity == identity || FileIdentity(path: $0.path.deletingLastPathComponent) == identity
            })
        {
            throw CheckpointError(file: path, "is the input or contains it", hint: "write to another name")
        }
        if !isFolder {
            try WholeFile.check(path, replaces: replaces)
        } else {
            guard OutputPlan.form(ofPath: path) == .folder else {
                throw CheckpointError(
                    file: path, "is the name of a file; the archive contains a folder", hint: "name a folder")
            }
            switch kind {
            case .missing:
                try FileSystem.refuseDanglingLink(path)
                let parent = path.deletingLastPathComponent
                guard FileSystem.kind(of: parent) == .folder else {
                    throw CheckpointError(file: parent, "is not a folder, so nothing can be written there")
                }
                try FileSystem.checkCreation(path)
            case .file: throw CheckpointError(file: path, "is a file; the archive contains a folder")
            case .other: throw CheckpointError(file: path, "is a device or a pipe, not a folder")
            case .folder:
                try ReplacedFolder.check(path, writing: archive.index.files.map(\.name))
                guard replaces else { throw CheckpointError(file: path, "exists", hint: "--force replaces it") }
            }
        }
        let needed = archive.index.byteCount
        if let free = FileSystem.freeByteCount(at: path.deletingLastPathComponent), free < needed {
            throw CheckpointError(
                file: path, "needs \(needed.grouped) bytes; the disk has \(free.grouped) free",
                hint: "free some space, or write to another disk")
        }
    }

    private func restore(_ archive: Archive, to path: String) throws(CheckpointError) {
        let index = archive.index
        let output = try TemporaryOutput(for: path, folder: index.kind != .file)
        let folders = index.kind == .folder ? index.files.map(\.name).subfolders : []
        try output.makeFolders(folders)
        let done = ByteCounter(total: index.byteCount, report: progress)
        let buffers = Pool { PieceWorkspace() }
        for file in index.files {
            let suffix = index.kind == .file ? "" : "/" + file.name
            let writer = try FileWriter(path: output.path + suffix, named: path + suffix, byteCount: file.byteCount)
            if file.byteCount > 0 { try writer.reserve(0..<file.byteCount) }
            let parts = Parts(file, index)
            try Parallel.forEach(parts.count, workers: threads) { (number, _) throws(CheckpointError) in
                let (span, piece) = parts[number]
                if case .same(let tensor) = span.base {
                    try copy(archive.base[tensor], to: writer, at: span.byteOffset)
                    return done.add(span.byteCount)
                }
                let buffer = buffers.take()
                defer { buffers.put(buffer) }
                let range = index.range(ofPiece: piece, in: span)
                let target = UnsafeMutableRawBufferPointer(rebasing: buffer.whole[..<range.count])
                try archive.unpack(piece: piece, of: span, into: target)
                let start = span.byteOffset + range.lowerBound  // fits: a position in the file
                try writer.write(UnsafeRawBufferPointer(target), at: start)
                writer.startWriting(start..<start + range.count)
                done.add(range.count)
            }
            try writer.sync()
        }
        for folder in folders { FileSystem.syncFolder(output.path + "/" + folder) }
        try output.finish()
    }

    /// Copies a tensor of the base, inside the kernel when it is in a file.
    private func copy(_ tensor: Tensor, to writer: FileWriter, at byteOffset: Int) throws(CheckpointError) {
        if let range = tensor.recipe.mappedRange { return try writer.copy(range, at: byteOffset) }
        let step = ArchiveFormat.pieceByteCount
        for start in stride(from: 0, to: tensor.byteCount, by: step) {
            let rows = start..<min(start + step, tensor.byteCount)
            try tensor.recipe.withBytes(rows: rows, rowByteCount: 1) { (bytes) throws(CheckpointError) in
                try writer.write(bytes, at: byteOffset + start)  // fits: a position in the file
            }
        }
    }
}

/// The parts of the work of restoring a file: pieces of the archive, and spans to copy from the base.
private struct Parts: Sendable {
    private let index: ArchiveIndex
    private let spans: Range<Int>
    /// The number of the first part of each span.
    private let starts: [Int]
    let count: Int

    init(_ file: ArchiveIndex.File, _ index: ArchiveIndex) {
        self.index = index
        spans = file.spans
        var (starts, count) = ([Int](), 0)
        for span in index.spans[file.spans] {
            starts.append(count)
            count += max(1, index.pieceCount(of: span))
        }
        (self.starts, self.count) = (starts, count)
    }

    /// A part by its number.
    subscript(number: Int) -> (span: ArchiveIndex.Span, piece: Int) {
        var range = starts.indices
        while range.count > 1 {
            let middle = range.lowerBound + range.count / 2
            range = starts[middle] <= number ? middle..<range.upperBound : range.lowerBound..<middle
        }
        return (index.spans[spans.lowerBound + range.lowerBound], number - starts[range.lowerBound])
    }
}

extension ArchiveIndex.Base {
    /// The tensors that a patch refers to, found in a checkpoint by their hashes: under their names, or under others.
    func tensors(in base: Checkpoint, patch: String, threads: Int) throws(CheckpointError) -> [Tensor] {
        let manifest = try Manifest(base, threads: threads)
        var places: [Digest: Int] = [:]
        for (index, entry) in manifest.entries.enumerated().reversed() { places[entry.digest] = index }
        var found: [Tensor] = []
        for tensor in tensors {
            guard let index = places[tensor.digest], base.tensors[index].byteCount == tensor.byteCount else {
                throw CheckpointError(
                    file: base.path, tensor: tensor.name,
                    "differs from the base of \(patch)",
                    hint: "the patch needs the checkpoint whose hash is \(digest); this one has \(manifest.total)")
            }
            found.append(base.tensors[index])
        }
        return found
    }
}
