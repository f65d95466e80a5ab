internal import Formats

extension ArchiveIndex {
    /// Finds and checks the index of an archive, so that all pieces are in the file and fill it.
    ///
    /// - Throws: an error that names `path`.
    init(archive bytes: UnsafeRawBufferPointer, path: String) throws(CheckpointError) {
        func wrong(_ problem: String, at byteOffset: Int? = nil) -> CheckpointError {
            CheckpointError(
                file: path, byteOffset: byteOffset, problem,
                hint: "the archive is incomplete or damaged; fetch it again")
        }
        let least = ArchiveFormat.headByteCount + ArchiveFormat.trailerByteCount
        guard bytes.count >= least else {
            throw wrong("has \(bytes.count.grouped) bytes; an archive has at least \(least.grouped)")
        }
        guard bytes.starts(with: ArchiveFormat.magic) else { throw CheckpointError(file: path, "is not an archive") }
        let version = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
        guard version == ArchiveFormat.version else {
            throw CheckpointError(
                file: path, "is an archive of version \(version); version \(ArchiveFormat.version) is read")
        }
        guard bytes.starts(with: ArchiveFormat.head) else { throw wrong("the head of the archive is damaged", at: 12) }
        let start = bytes.count - ArchiveFormat.trailerByteCount
        let trailer = UnsafeRawBufferPointer(rebasing: bytes[start...])
        func number(_ byteOffset: Int) -> UInt64 {
            UInt64(littleEndian: trailer.loadUnaligned(fromByteOffset: byteOffset, as: UInt64.self))
        }
        guard trailer.suffix(8).elementsEqual(ArchiveFormat.magic) else {
            throw wrong("does not end as an archive does", at: bytes.count - 8)
        }
        guard number(48) == Digest.short(of: UnsafeRawBufferPointer(rebasing: trailer[..<48])),
            number(40) == UInt64(ArchiveFormat.version)
        else { throw wrong("the end of the archive is damaged", at: start) }
        guard number(32) == UInt64(bytes.count) else {
            throw wrong("has \(bytes.count.grouped) bytes; its trailer states \(number(32).grouped)")
        }
        guard let offset = Int(exactly: number(0)), let count = Int(exactly: number(8)),
            ArchiveFormat.headByteCount...start ~= offset, count == start - offset
        else {
            throw wrong("the trailer states an index of \(number(8).grouped) bytes at \(number(0).grouped)", at: start)
        }
        let index = UnsafeRawBufferPointer(rebasing: bytes[offset..<start])
        guard Digest(of: index).bytes.elementsEqual(trailer[16..<32]) else {
            throw wrong("the index is damaged", at: offset)
        }
        var cursor = ByteCursor(index: index, path: path, start: offset)
        try self.init(parsing: &cursor, end: offset)
        guard cursor.left == 0 else { throw cursor.error("\(cursor.left.grouped) bytes follow the index") }
        let end = pieceOffsets.last ?? 0
        guard end == offset else {
            throw wrong("the pieces end at \(end.grouped); the index begins at \(offset.grouped)")
        }
    }

    /// - Parameter end: where the index begins, and so where the pieces end.
    private init(parsing cursor: inout ByteCursor, end: Int) throws(CheckpointError) {
        guard let kind = Kind(rawValue: try cursor.byte("the kind")) else {
            throw cursor.error("is of an unknown kind")
        }
        self.init(kind: kind, name: try cursor.fileName("the name of the model"), layouts: [])
        for _ in 0..<(try cursor.number(of: 4, limit: ArchiveFormat.maximumLayouts, "the number of layouts")) {
            layouts.append(try cursor.layout())
        }
        switch try cursor.byte("whether it is a patch") {
        case 0: break
        case 1: base = try cursor.base()
        default: throw cursor.error("is neither a patch nor none")
        }
        let pieces = try readFiles(&cursor)
        // Not more than could be stored: the smallest piece has a byte.
        pieceOffsets.reserveCapacity(min(pieces, end) + 1)
        pieceHashes.reserveCapacity(min(pieces, end))
        for span in spans { try readPieces(of: span, &cursor, end: end) }
    }

    /// - Returns: how many pieces the spans have.
    private mutating func readFiles(_ cursor: inout ByteCursor) throws(CheckpointError) -> Int {
        let count = try cursor.number(of: 4, limit: ArchiveFormat.maximumFiles, "the number of files")
        guard count > 0, kind != .file || count == 1 else { throw cursor.error("holds \(count.grouped) files") }
        var names: Set<ExactString> = []
        var (pieces, planes, total) = (0, 0, 0)
        for _ in 0..<count {
            let name =
                try kind == .folder ? cursor.relativePath("the name of a file") : cursor.fileName("the name of a file")
            guard names.insert(ExactString(name)).inserted else {
                throw cursor.error("the file '\(name)' occurs twice")
            }
            let byteCount = try cursor.number("the size of '\(name)'")
            let (sum, overflow) = total.addingReportingOverflow(byteCount)
            guard !overflow else { throw cursor.error("the sizes of the files have a sum that is too large") }
            total = sum
            let first = spans.count
            var offset = 0
            for _
                in 0..<(try cursor.number(
                    of: 3, limit: ArchiveFormat.maximumSpans - spans.count, "the number of spans of '\(name)'"))
            {
                let span = try cursor.span(at: offset, firstPiece: pieces, firstPlane: planes)
                guard span.byteCount <= byteCount - offset else {
                    throw cursor.error("the spans of '\(name)' are longer than the file")
                }
                try check(span, cursor)
                let number = pieceCount(of: span)
                // Every piece has a hash and a number for each plane further on.
                let taken = 8 * pieces + planes  // fits: at most the bytes left, checked below
                guard number <= (cursor.left - taken) / (8 + layout(of: span).planeCount) else {
                    throw cursor.error("'\(name)' has \(number.grouped) pieces, more than the index can hold")
                }
                pieces += number
                planes += number * layout(of: span).planeCount  // fits: no more than the bytes left
                offset += span.byteCount  // fits: no more than the file has
                spans.append(span)
            }
            guard offset == byteCount else {
                throw cursor.error(
                    "the spans of '\(name)' have \(offset.grouped) bytes; the file has \(byteCount.grouped)")
            }
            files.append(File(name: name, byteCount: byteCount, spans: first..<spans.count))
        }
        for folder in files.map(\.name).subfolders where names.contains(ExactString(folder)) {
            throw cursor.error("'\(folder)' is a file and a folder")
        }
        return pieces
    }

    private func check(_ span: Span, _ cursor: ByteCursor) throws(CheckpointError) {
        guard span.byteCount > 0 else { throw cursor.error("a span is empty") }
        guard span.layout <= layouts.count else {
            throw cursor.error("a span has the layout \(span.layout.grouped) of \(layouts.count)")
        }
        guard span.byteCount % layout(of: span).blockByteCount == 0 else {
            throw cursor.error("a span of \(span.byteCount.grouped) bytes does not fill its blocks")
        }
        switch span.base {
        case .none: break
        case .same(let tensor), .difference(let tensor):
            let known = base?.tensors ?? []
            guard known.indices.contains(tensor) else {
                throw cursor.error("a span refers to tensor \(tensor.grouped) of \(known.count.grouped) of the base")
            }
            guard known[tensor].byteCount == span.byteCount else {
                throw cursor.error(
                    "a span of \(span.byteCount.grouped) bytes refers to a tensor of \(known[tensor].byteCount.grouped)"
                )
            }
        }
    }

    private mutating func readPieces(
        of span: Span, _ cursor: inout ByteCursor, end limit: Int
    ) throws(CheckpointError) {
        let layout = layout(of: span)
        for piece in 0..<pieceCount(of: span) {
            pieceHashes.append(try cursor.hash("the hash of a piece"))
            var end = pieceOffsets.last ?? 0
            for size in layout.planeByteCounts(of: range(ofPiece: piece, in: span).count) {
                let code = try cursor.number("the size of a plane")
                let (stored, isCompressed) = (code >> 1, code & 1 != 0)
                let isPossible =
                    isCompressed ? stored >= ArchiveFormat.frameByteCount && stored < size : stored == size
                guard isPossible else {
                    throw cursor.error("a plane of \(size.grouped) bytes is stored in \(stored.grouped)")
                }
                planes.append(Plane(byteCount: stored, isCompressed: isCompressed))
                guard stored <= limit - end else {
                    throw cursor.error("the pieces reach beyond \(limit.grouped), where the index begins")
                }
                end += stored
            }
            pieceOffsets.append(end)
        }
    }
}

extension ArchiveIndex {
    /// Reads and checks the index of an archive in memory; the input of fuzzing.
    package static func check(_ bytes: UnsafeRawBufferPointer) throws(CheckpointError) {
        _ = try ArchiveIndex(archive: bytes, path: "archive")
    }
}
