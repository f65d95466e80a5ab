internal import ArgumentParser
internal import Checkpoints

/// The `pack` command.
struct Pack: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Pack the files of a checkpoint into a smaller archive, without loss.",
        discussion: """
            All files of a folder are included unchanged, and those of its sub-folders that belong to the model; files \
            that are left out are named. Every command reads an archive as a model and unpacks only what it needs; \
            'resect unpack' restores the files. With --against, the archive is a patch: it stores only differences \
            from another checkpoint, which may have more layers. With --json: {"output", \
            "byteCount", "originalByteCount", "ratio", "files", "seconds"}, and for a patch "same" and "differences", \
            the numbers of tensors that equal one of the base and that are stored as a difference.
            """)

    @OptionGroup var model: ModelArgument

    @Option(
        name: [.short, .customLong("output")],
        help: ArgumentHelp("The archive to write, usually x.resect.", valueName: "path"), completion: .file())
    var output: String

    @Option(
        name: .long, help: ArgumentHelp("Store only differences from this checkpoint.", valueName: "base"),
        completion: .file())
    var against: String?

    @Flag(name: .shortAndLong, help: "Replace an existing output.")
    var force = false

    @OptionGroup(title: "General") var common: CommonOptions

    func validate() throws {
        if output == "-" { throw ValidationError("-o needs the name of a file") }
        if output != model.path, [".gguf", ".safetensors"].contains(where: output.lowercased().hasSuffix) {
            throw ValidationError(
                "'\(output)' is the name of a model, and no other program reads an archive as one; name it x.resect")
        }
    }

    func run() throws {
        let checkpoint = try model.open()
        let base = try against.map { try Checkpoint.open($0) }
        let progress = Progress("pack", unit: .bytes, quiet: common.quiet)
        let packer = ArchivePacker(replaces: force, threads: common.threadCount) { progress.report($0, $1) }
        let summary = try packer.pack(checkpoint, against: base, to: output)
        progress.finish()
        let report = PackReport(path: output, summary: summary, isPatch: base != nil, seconds: progress.seconds)
        if common.json { Output.json(report.object) } else { report.say(common) }
    }
}
