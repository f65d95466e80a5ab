internal import Synchronization

/// An open archive: its index, and its bytes, unpacked on request.
final class Archive: Sendable {
    let file: MappedFile
    let index: ArchiveIndex
    /// The tensors of the base that the index names, in its order; empty when there is none.
    let base: [Tensor]
    private let workspaces = Pool { PieceWorkspace() }
    private let cache = PieceCache()
    private let inMemory = Mutex(0)

    /// Whether a file begins as an archive does.
    static func isArchive(_ file: MappedFile) -> Bool {
        withExtendedLifetime(file) { file.bytes.starts(with: ArchiveFormat.magic) }
    }

    /// Reads the end and the index of an archive.
    init(_ file: MappedFile) throws(CheckpointError) {
        self.file = file
        base = []
        index = try Archive.index(of: file)
    }

    /// A patch with the tensors that its index names.
    init(_ patch: Archive, base: [Tensor]) {
        file = patch.file
        index = patch.index
        self.base = base
    }

    private static func index(of file: MappedFile) throws(CheckpointError) -> ArchiveIndex {
        defer { withExtendedLifetime(file) {} }
        return try ArchiveIndex(archive: file.bytes, path: file.path)
    }

    /// Unpacks one piece of a span. `output` has exactly the size of the piece.
    ///
    /// - Throws: when the archive is damaged there, or the base is not the one of the patch.
    func unpack(
        piece: Int, of span: ArchiveIndex.Span, into output: UnsafeMutableRawBufferPointer
    ) throws(CheckpointError) {
        let workspace = workspaces.take()
        defer {
            workspaces.put(workspace)
            withExtendedLifetime(file) {}
        }
        let layout = index.layout(of: span)
        let pieceIndex = span.firstPiece + piece
        let (start, end) = (index.pieceOffsets[pieceIndex], index.pieceOffsets[pieceIndex + 1])
        let firstPlane = span.firstPlane + piece * layout.planeCount  // fits: a position in the list of planes
        var isWhole = PieceDecoder.decode(
            UnsafeRawBufferPointer(rebasing: file.bytes[start..<end]),
            planes: index.planes[firstPlane..<firstPlane + layout.planeCount], layout: layout, into: output, workspace)
        if case .difference(let tensor) = span.base {
            try base[tensor].recipe.withBytes(rows: index.range(ofPiece: piece, in: span), rowByteCount: 1) {
                exclusiveOr(output, $0)
            }
        }
        isWhole = isWhole && Digest.short(of: UnsafeRawBufferPointer(output)) == index.pieceHashes[pieceIndex]
        guard isWhole else {
            throw CheckpointError(
                file: file.path, byteOffset: start, "a piece of \(output.count.grouped) bytes is damaged",
                hint: "fetch the archive again")
        }
    }

    /// Reads bytes of a file by unpacking the pieces that contain them. The range is valid.
    func read(
        _ file: ArchiveIndex.File, from byteOffset: Int, into output: UnsafeMutableRawBufferPointer
    ) throws(CheckpointError) {
        var done = 0
        var spanIndex = output.isEmpty ? 0 : index.span(of: file, at: byteOffset)
        while done < output.count {
            let span = index.spans[spanIndex]
            let start = byteOffset + done - span.byteOffset  // fits: a position in the file
            let count = min(output.count - done, span.byteCount - start)
            let target = UnsafeMutableRawBufferPointer(rebasing: output[done..<done + count])
            try read(span, from: start, into: target)
            done += count
            spanIndex += 1
        }
    }

    private func read(
        _ span: ArchiveIndex.Span, from start: Int, into output: UnsafeMutableRawBufferPointer
    ) throws(CheckpointError) {
        if case .same(let tensor) = span.base {
            return try base[tensor].recipe.write(rows: start..<start + output.count, rowByteCount: 1, into: output)
        }
        var done = 0
        while done < output.count {
            let piece = (start + done) / index.layout(of: span).pieceByteCount
            let range = index.range(ofPiece: piece, in: span)
            let from = start + done - range.lowerBound
            let count = min(output.count - done, range.count - from)
            let target = UnsafeMutableRawBufferPointer(rebasing: output[done..<done + count])
            if count == range.count {
                try unpack(piece: piece, of: span, into: target)
            } else {
                try cache.read(
                    span.firstPiece + piece, byteCount: range.count, from: from, into: target
                ) { (whole) throws(CheckpointError) in try unpack(piece: piece, of: span, into: whole) }
            }
            done += count
        }
    }

    /// How many more bytes may stay in memory: a file of this size justifies no more.
    var memoryAllowance: Int { memoryLimit - inMemory.withLock { $0 } }

    private var memoryLimit: Int { ArchiveFormat.memoryAllowance + file.byteCount }  // fits: 64 MiB and a file's size

    /// Counts bytes that are unpacked and kept in memory.
    ///
    /// - Throws: when they are more than a file of this size justifies.
    func reserve(_ byteCount: Int, for name: String) throws(CheckpointError) {
        let limit = memoryLimit
        let fits = inMemory.withLock { sum in
            guard byteCount <= limit - sum else { return false }
            sum += byteCount
            return true
        }
        guard fits else {
            throw CheckpointError(
                file: file.path,
                "'\(name)' claims \(byteCount.grouped) bytes beside its tensors, too many for an archive of "
                    + file.byteCount.grouped)
        }
    }
}
