internal import ArgumentParser
internal import Checkpoints
internal import Formats

/// The `pack` command.
struct Pack: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Pack the files of a checkpoint into a smaller archive, without loss.",
        discussion: """
            All files of a folder are included unchanged, and those of its sub-folders that belong to the model; files \
            that are left out are named. Every command reads an archive as a model and unpacks only what it needs; 'resect unpack' restores the files. With --against, the archive is a patch: it stores \
            only differences from another checkpoint, which may have more layers. With --json: {"output", \
            "byteCount", "originalByteCount", "ratio", "files", "seconds"}, and for a patch "same" and "differences", \
            the numbers of tensors that equal one of the base and that are stored as a difference.
            """)

    @OptionGroup var model: ModelArgument

    @Option(
        name: [.short, .customLong("output")],
        help: ArgumentHelp("The archive to write, x.resect by custom.", valueName: "path"))
    var output: String

    @Option(
        name: .long, help: ArgumentHelp("Store only differences from this checkpoint.", valueName: "base"))
    var against: String?

    @Flag(name: .long, help: "Replace an existing output.")
    var force = false

    @OptionGroup var common: CommonOptions

    func run() throws {
        let checkpoint = try model.open()
        let base = try against.map { try Checkpoint.open($0) }
        let progress = Progress("pack", unit: .bytes, quiet: common.quiet)
        let packer = ArchivePacker(replaces: force, threads: common.threadCount) { progress.report($0, $1) }
        let summary = try packer.pack(checkpoint, against: base, to: output)
        progress.finish()
        if !summary.leftOut.isEmpty {
            common.note("left out of the archive: \(summary.leftOut.joined(separator: ", "))")
        }
        let ratio = Double(summary.byteCount) / Double(max(1, summary.originalByteCount))
        if common.json {
            var answer = JSONObject([
                ("output", .string(output)), ("byteCount", .int(summary.byteCount)),
                ("originalByteCount", .int(summary.originalByteCount)),
                ("ratio", .double((ratio * 10000).rounded() / 10000)), ("files", .int(summary.files)),
            ])
            if base != nil {
                answer["same"] = .int(summary.same)
                answer["differences"] = .int(summary.differences)
            }
            answer["seconds"] = .double((progress.seconds * 1000).rounded() / 1000)
            return Output.json(answer)
        }
        let patch =
            base == nil
            ? "" : "; \(summary.same) tensors equal one of the base, \(summary.differences) are stored as differences"
        common.note(
            "packed \(counted(summary.files, "file")), \(summary.originalByteCount.byteText), into \(output): "
                + "\(summary.byteCount.byteText) (\((ratio * 100).fixed(1))%) in \(progress.seconds.fixed(1)) s\(patch)"
        )
    }
}
