internal import ArgumentParser
internal import Checkpoints
internal import Formats

/// The archive of what a heal changed.
struct PatchOption: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Also write an archive of the output that stores only differences from MODEL; 'resect unpack --against MODEL' "
                + "restores the output.", valueName: "file"), completion: .file())
    var savePatch: String?

    /// Refuses outputs that cannot be packed.
    func check(_ output: OutputOptions) throws {
        guard let savePatch else { return }
        if savePatch == "-" { throw ValidationError("--save-patch needs the name of a file") }
        if output.isStream { throw ValidationError("--save-patch packs the output on disk; -o - writes none") }
        if FileSystem.absolute(savePatch) == FileSystem.absolute(output.output) {
            throw ValidationError("--save-patch and --output name the same file")
        }
    }

    /// What writes the patch.
    ///
    /// - Parameter base: the model as it was opened.
    func run(against base: Checkpoint, _ output: OutputOptions, _ common: CommonOptions) -> PatchRun? {
        savePatch.map { PatchRun(path: $0, base: base, replaces: output.force, common: common) }
    }
}

/// Packs a written output against the model that it was made of.
struct PatchRun {
    let path: String
    let base: Checkpoint
    let replaces: Bool
    let common: CommonOptions

    /// Throws when the patch could not be written.
    func check() throws {
        try ArchivePacker(replaces: replaces, threads: common.threadCount).check(path, against: base)
    }

    /// Packs the output, which is opened under its final name.
    func write(_ output: String) throws -> PackReport {
        let written = try Checkpoint.open(output)
        let progress = Progress("pack", unit: .bytes, quiet: common.quiet)
        let packer = ArchivePacker(replaces: replaces, threads: common.threadCount) { progress.report($0, $1) }
        let summary = try packer.pack(written, against: base, to: path)
        progress.finish()
        return PackReport(path: path, summary: summary, isPatch: true, seconds: progress.seconds)
    }
}

/// What packing gave.
struct PackReport {
    let path: String
    let summary: ArchivePacker.Summary
    let isPatch: Bool
    let seconds: Double

    private var ratio: Double { Double(summary.byteCount) / Double(max(1, summary.originalByteCount)) }

    /// Prints it on standard error.
    func say(_ common: CommonOptions) {
        if !summary.leftOut.isEmpty {
            common.note("left out of the archive: \(summary.leftOut.joined(separator: ", "))")
        }
        let differences =
            isPatch
            ? "; \(summary.same) tensors equal one of the base, \(summary.differences) are stored as differences" : ""
        common.note(
            "packed \(counted(summary.files, "file")), \(summary.originalByteCount.byteText), into \(path): "
                + "\(summary.byteCount.byteText) (\((ratio * 100).fixed(1))%) in \(seconds.fixed(1)) s\(differences)")
    }

    /// It as a JSON object.
    var object: JSONObject {
        var answer = JSONObject([
            ("output", .string(path)), ("byteCount", .int(summary.byteCount)),
            ("originalByteCount", .int(summary.originalByteCount)),
            ("ratio", .double((ratio * 10000).rounded() / 10000)), ("files", .int(summary.files)),
        ])
        if isPatch {
            answer["same"] = .int(summary.same)
            answer["differences"] = .int(summary.differences)
        }
        answer["seconds"] = .double((seconds * 1000).rounded() / 1000)
        return answer
    }

    /// It as a member of the answer of a command that writes a patch too.
    var json: [(String, JSON)] { [("patch", .object(object))] }
}
