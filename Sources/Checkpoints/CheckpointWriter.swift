internal import Formats
internal import Parallel

/// Writes a checkpoint: plans the layout, writes the bytes, syncs, checks, and renames.
///
/// The output is the same for every number of threads, because each unit of work has a fixed offset in it.
public struct CheckpointWriter: Sendable {
    /// Whether an existing output is replaced.
    public var replaces: Bool
    /// How many threads compute rows.
    public var threads: Int
    /// Whether an interrupted run of the same work is continued, and this one can be continued when it is interrupted.
    public var resumes = false
    /// Whether the output is synced before it gets its name, so that a power failure cannot leave an incomplete file
    /// there.
    public var syncs = true
    /// The number of bytes between syncs and journal entries, for --resume.
    package var journalByteCount = 512 << 20
    /// Called with the bytes done and the bytes in all, from any thread.
    public var progress: (@Sendable (_ done: Int, _ total: Int) -> Void)?
    /// The path of a manifest; `nil` for none.
    public var manifest: String?

    /// A writer.
    ///
    /// - Parameters:
    ///   - replaces: whether an existing output is replaced.
    ///   - threads: how many threads compute rows; the output does not depend on it.
    ///   - progress: called with the bytes done and the bytes in all, from any thread.
    public init(
        replaces: Bool = false, threads: Int,
        progress: (@Sendable (_ done: Int, _ total: Int) -> Void)? = nil
    ) {
        self.replaces = replaces
        self.threads = threads
        self.progress = progress
    }

    /// Writes a planned output, reads it back, checks it, and then gives it its name.
    ///
    /// - Parameters:
    ///   - plan: the layout of the output.
    ///   - path: its name.
    ///   - accept: checks the checkpoint as it was read back; when it throws, the output does not get its name.
    /// - Returns: the checkpoint as it was read back.
    /// - Throws: when the output exists, is an input, does not fit, or is not accepted; nothing is left on disk then.
    @discardableResult
    public func write(
        _ plan: OutputPlan, to path: String, accept: ((Checkpoint) throws(CheckpointError) -> Void)? = nil
    ) throws(CheckpointError) -> Checkpoint {
        let path = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
        try check(plan, path: path)
        let output = try TemporaryOutput(
            for: path, folder: plan.placement != .file,
            // Without a journal the state of an earlier output is unknown.
            resumes: resumes && Journal.hasBegun(TemporaryOutput.sibling(of: path, "journal")), isKept: resumes)
        try output.makeFolders(plan.folders)
        let files = try plan.files.map { (file) throws(CheckpointError) in
            try PlacedFile(
                file, at: plan.temporaryPath(of: file, in: output.path, for: path),
                named: plan.path(of: file, in: path), syncs: syncs)
        }
        for file in files {
            file.writer.keepMode(isFinished: false)
            try file.reserve()
        }
        let journal = try write(files, plan, path: path, isResumed: output.isResumed)
        try plan.checkpoint.checkUnchanged()
        let written = try reopened(plan, output: output.path, path: path)
        try accept?(written)
        // The output is hashed as it is on the disk, before it or the manifest has its name: a failure leaves neither.
        let manifest = try manifest.map { (manifest) throws(CheckpointError) in
            try WholeFile.unfinished(Array(Manifest(written, threads: threads).text.utf8), path: manifest)
        }
        for file in files { file.writer.keepMode(isFinished: true) }
        if plan.placement == .shards {
            try output.finishAsFiles(
                plan.files.map { file in
                    let path = plan.path(of: file, in: path)
                    return (path.lastPathComponent, path)
                })
        } else {
            for folder in plan.folders { FileSystem.syncFolder(output.path + "/" + folder) }
            try output.finish()
        }
        journal.remove()
        try manifest?.finish()
        return written
    }

    /// Writes all files and records progress.
    private func write(
        _ files: [PlacedFile], _ plan: OutputPlan, path: String, isResumed: Bool
    ) throws(CheckpointError) -> Journal {
        let units = files.flatMap { file in file.units.map { (file, $0) } }
        let journal = try Journal(
            path: TemporaryOutput.sibling(of: path, "journal"),
            plan: plan.identity + "\(units.count) units", unitCount: units.count,
            resumes: resumes && isResumed, isKept: resumes, syncByteCount: journalByteCount, target: path)
        let done = ByteCounter(total: plan.byteCount, report: progress)
        done.add(plan.byteCount - units[journal.resumedCount...].reduce(0) { $0 + $1.1.byteCount })
        for file in files { try file.writer.write(file.plan.header, at: 0) }
        let first = journal.resumedCount
        try Parallel.forEach(units.count - first, workers: threads) { (index, _) throws(CheckpointError) in
            // The calling thread, which alone knows its task, takes units too, and its failure stops the others.
            try CheckpointError.checkCancellation()
            let (file, unit) = units[first + index]
            switch unit {
            case .copy(let range, let byteOffset): try file.writer.copy(range, at: byteOffset)
            case .rows(let tensor, let rows, let byteOffset):
                try tensor.withBytes(rows: rows) { (bytes) throws(CheckpointError) in
                    try file.writer.write(bytes, at: byteOffset)
                }
            }
            done.add(unit.byteCount)
            guard syncs else { return }
            try journal.finish(unit: first + index, byteCount: unit.byteCount) { () throws(CheckpointError) in
                for file in files { try file.writer.sync() }
            }
        }
        try CheckpointError.checkCancellation()
        if syncs { for file in files { try file.writer.sync() } }
        return journal
    }

    /// Checks what can be known before the first byte: the configuration, the output's name, and the space on the disk.
    public func check(_ plan: OutputPlan, path: String) throws(CheckpointError) {
        try plan.checkpoint.checkConsistency()
        if plan.placement == .shards {
            for file in plan.files { try checkName(plan, path: plan.path(of: file, in: path)) }
        } else {
            try checkName(plan, path: path)
        }
        let parent = path.deletingLastPathComponent
        guard FileSystem.kind(of: parent) == .folder else {
            throw CheckpointError(file: parent, "is not a folder, so nothing can be written there")
        }
        try FileSystem.checkCreation(plan.placement == .shards ? plan.path(of: plan.files[0], in: path) : path)
        if let manifest {
            try ManifestFile.check(manifest, beside: path)
            try ManifestFile.check(manifest, replaces: replaces, for: plan.checkpoint)
        }
        try checkSpace(plan, path: path, parent: parent)
    }

    /// Throws when an output cannot be written to a path.
    private func checkName(_ plan: OutputPlan, path: String) throws(CheckpointError) {
        let kind = FileSystem.kind(of: path)
        if kind == .missing { try FileSystem.refuseDanglingLink(path) }
        try refuseInput(plan, path: path)
        if kind == .other { throw CheckpointError(file: path, "is a device or a pipe, not a file") }
        if kind == .file, plan.form == .folder {
            throw CheckpointError(
                file: path, "is a file; the output is a folder",
                hint: "name the output x.gguf or x.safetensors for a single file")
        }
        if kind == .folder {
            guard plan.form == .folder else { throw CheckpointError(file: path, "is a folder") }
            try ReplacedFolder.check(path, writing: plan.files.map(\.name))
        }
        // Last, so that the hint is true.
        if kind != .missing, !replaces {
            throw CheckpointError(file: path, "exists", hint: "--force replaces it")
        }
    }

    /// Checks the required disk space; shared blocks and holes take none.
    private func checkSpace(_ plan: OutputPlan, path: String, parent: String) throws(CheckpointError) {
        let sharing = FileSystem.sharesBlocks(parent)
        let needed = plan.files.reduce(0) { $0 + $1.byteCountOnDisk { sharing && $0.identity.isOnDevice(of: parent) } }
        if resumes, FileSystem.kind(of: TemporaryOutput.sibling(of: path, "partial")) != .missing { return }
        if let free = FileSystem.freeByteCount(at: parent), free < needed {
            throw CheckpointError(
                file: path, "needs \(needed.grouped) bytes; the disk has \(free.grouped) free",
                hint: "free some space, or write to another disk")
        }
    }

    /// Refuses an output that is one of the inputs, also through links and with `--force`.
    private func refuseInput(_ plan: OutputPlan, path: String) throws(CheckpointError) {
        guard let identity = FileIdentity(path: path) else { return }
        let inputs = plan.checkpoint.sources
        let isInput = inputs.contains {
            $0.identity == identity
                || FileIdentity(path: $0.path.deletingLastPathComponent) == identity
        }
        let holdsInput = inputs.contains { source in
            FileIdentity(path: path + "/" + source.name) == source.identity
        }
        if isInput || holdsInput || FileIdentity(path: plan.checkpoint.path) == identity {
            throw CheckpointError(file: path, "is the input", hint: "write to another name")
        }
    }

    /// Opens the written output and checks it against the plan and its configuration.
    private func reopened(
        _ plan: OutputPlan, output: String, path: String
    ) throws(CheckpointError) -> Checkpoint {
        var written: Checkpoint
        switch plan.form {
        case .gguf:
            guard let first = plan.files.first else { preconditionFailure("a plan without files") }
            let temporary = plan.temporaryPath(of: first, in: output, for: path)
            written = try GGUF.open(try MappedFile(path: temporary))
        case .folder: written = try HuggingFaceFolder.open(output)
        case .safetensors:
            let file = try MappedFile(path: output)
            let contents = try Safetensors.read(file)
            written = plan.checkpoint
            written.isPyTorch = false
            written.tensors = contents.tensors
            written.sources = [file]
        }
        written.path = path
        written.layerPrefix = plan.checkpoint.layerPrefix
        let expected = plan.files.flatMap { $0.tensors.map(\.tensor) }
        let same =
            expected.count == written.tensors.count
            && zip(expected, written.tensors).allSatisfy {
                ExactString($0.name) == ExactString($1.name) && $0.dtype == $1.dtype
                    && $0.shape == $1.shape
            }
        guard same else {
            throw CheckpointError(file: path, "does not read back as it was written")
        }
        try written.checkConsistency()
        return written
    }
}
