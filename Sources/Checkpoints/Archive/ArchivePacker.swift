internal import Parallel
internal import Synchronization

/// Packs the files of a checkpoint into an archive, or into a patch on another checkpoint.
public struct ArchivePacker: Sendable {
    /// The result of packing.
    public struct Summary: Sendable {
        /// The bytes of the archive.
        public var byteCount: Int
        /// The bytes of the files in it.
        public var originalByteCount: Int
        /// The number of files.
        public var files: Int
        /// The number of tensors that are equal to one of the base and stored as a reference.
        public var same: Int
        /// The number of tensors stored as a difference from one of the base.
        public var differences: Int
        /// Names in the folder that are not in the archive: links that leave it, sub-folders with other weights.
        public var leftOut: [String]
    }

    /// Whether an existing output is replaced.
    public var replaces: Bool
    /// How many threads pack.
    public var threads: Int
    /// Called with the bytes done and the bytes in all, from any thread.
    public var progress: (@Sendable (_ done: Int, _ total: Int) -> Void)?

    /// A packer.
    ///
    /// - Parameters:
    ///   - replaces: whether an existing output is replaced.
    ///   - threads: how many threads pack; the archive does not depend on it.
    ///   - progress: called with the bytes done and the bytes in all, from any thread.
    public init(
        replaces: Bool = false, threads: Int, progress: (@Sendable (_ done: Int, _ total: Int) -> Void)? = nil
    ) {
        self.replaces = replaces
        self.threads = threads
        self.progress = progress
    }

    /// What has been written, in order.
    private struct Written: Sendable {
        var index: ArchiveIndex
        var end: Int
    }

    /// A packed piece that waits to be written in order.
    private struct Packed: Sendable {
        let workspace: PieceWorkspace
        let hash: UInt64
        let planes: [ArchiveIndex.Plane]
    }

    /// Throws when an archive cannot be written to a path, because a file exists there or because it is an input.
    public func check(_ path: String, against base: Checkpoint?) throws(CheckpointError) {
        try check(path, inputs: base?.sources ?? [])
        try base?.refuseAsOutput(path)
    }

    private func check(_ path: String, inputs: [MappedFile]) throws(CheckpointError) {
        try WholeFile.check(path, replaces: replaces)
        if let identity = FileIdentity(path: path), inputs.contains(where: { $0.identity == identity }) {
            throw .isInput(path)
        }
    }

    /// Packs a checkpoint as it was opened; with a base, only what differs from it.
    ///
    /// - Throws: when the output exists or is an input; nothing is left on disk then.
    @discardableResult
    public func pack(
        _ checkpoint: Checkpoint, against base: Checkpoint? = nil, to path: String
    ) throws(CheckpointError) -> Summary {
        for file in checkpoint.sources where Archive.isArchive(file) {
            throw CheckpointError(file: file.path, "is an archive already")
        }
        try WholeFile.check(path, replaces: replaces)
        var plan = try ArchivePlan(checkpoint)
        let sources = plan.places.map(\.range.file) + (base?.sources ?? [])
        try check(path, inputs: sources)
        try checkpoint.refuseAsOutput(path)
        try base?.refuseAsOutput(path)
        if let base { try plan.refer(to: base, from: checkpoint, threads: threads) }
        let pieces = plan.numberPieces()
        let output = try TemporaryOutput(for: path, folder: false)
        let writer = try FileWriter(path: output.path, named: path, byteCount: 0)
        let index = try write(plan, pieces: pieces, base: base, writer)
        let bytes = index.bytes
        let end = index.pieceOffsets.last ?? 0
        try writer.write(bytes, at: end)
        try writer.write(ArchiveIndex.trailer(index: bytes, at: end), at: end + bytes.count)
        try writer.sync()
        for source in sources { try source.checkUnchanged() }
        let written = try Archive(try MappedFile(path: output.path))
        guard written.index.bytes == bytes else {
            throw CheckpointError(file: path, "does not read back as it was written")
        }
        try output.finish()
        return Summary(
            byteCount: written.file.byteCount, originalByteCount: index.byteCount, files: index.files.count,
            same: index.spans.count { if case .same = $0.base { true } else { false } },
            differences: index.spans.count { if case .difference = $0.base { true } else { false } },
            leftOut: plan.leftOut)
    }

    /// Writes head and pieces.
    private func write(
        _ plan: ArchivePlan, pieces: Int, base: Checkpoint?, _ writer: FileWriter
    ) throws(CheckpointError) -> ArchiveIndex {
        try writer.write(ArchiveFormat.head, at: 0)
        let done = ByteCounter(total: plan.index.byteCount, report: progress)
        let workspaces = Pool { PieceWorkspace() }
        let written = Mutex(Written(index: plan.index, end: ArchiveFormat.headByteCount))
        let (baseTensors, pieceBases) = (base?.tensors ?? [], plan.baseTensors)
        try Parallel.inOrder(pieces, workers: threads) { (piece) throws(CheckpointError) -> Packed in
            let spanIndex = plan.span(ofPiece: piece)
            let span = plan.index.spans[spanIndex]
            let range = plan.index.range(ofPiece: piece - span.firstPiece, in: span)
            let mapped = plan.places[spanIndex].range
            defer { withExtendedLifetime(mapped) {} }
            let raw = mapped.bytes(range.lowerBound, range.count)
            let workspace = workspaces.take()
            let planes: [ArchiveIndex.Plane]
            if case .difference(let tensor) = span.base {
                planes = try baseTensors[pieceBases[tensor]].recipe.withBytes(rows: range, rowByteCount: 1) {
                    PieceEncoder.encode(
                        raw, as: .weights, layout: plan.index.layout(of: span), difference: $0, workspace)
                }
            } else {
                planes = PieceEncoder.encode(
                    raw, as: span.layout == 0 ? .text : .weights, layout: plan.index.layout(of: span), workspace)
            }
            done.add(raw.count)
            return Packed(workspace: workspace, hash: Digest.short(of: raw), planes: planes)
        } use: { (_, packed) throws(CheckpointError) in
            try written.withLock { (written) throws(CheckpointError) in
                let count = packed.planes.reduce(0) { $0 + $1.byteCount }
                try writer.write(UnsafeRawBufferPointer(rebasing: packed.workspace.stored[..<count]), at: written.end)
                writer.startWriting(written.end..<written.end + count)
                written.end += count
                written.index.pieceOffsets.append(written.end)
                written.index.pieceHashes.append(packed.hash)
                written.index.planes += packed.planes
            }
            workspaces.put(packed.workspace)
        }
        return written.withLock { $0.index }
    }
}
