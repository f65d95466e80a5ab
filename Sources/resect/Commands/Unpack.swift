internal import ArgumentParser
internal import Checkpoints
internal import Formats

/// The `unpack` command.
struct Unpack: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Restore the files of an archive, byte for byte.",
        discussion: """
            Every byte is checked against the hashes in the archive before the output gets its name. With --json: \
            {"output", "byteCount", "files", "seconds"}.
            """)

    @Argument(help: ArgumentHelp("An archive from 'resect pack'.", valueName: "archive"), completion: .file())
    var archive: String

    @Option(
        name: [.short, .customLong("output")],
        help: ArgumentHelp("The file or the folder to write.", valueName: "path"), completion: .file())
    var output: String

    @Option(
        name: .long, help: ArgumentHelp("The base checkpoint of a patch.", valueName: "base"), completion: .file())
    var against: String?

    @Flag(name: .shortAndLong, help: "Replace an existing output.")
    var force = false

    @OptionGroup(title: "General") var common: CommonOptions

    func validate() throws {
        if output == "-" { throw ValidationError("-o needs the name of a file or a folder") }
    }

    func run() throws {
        let base = try against.map { try Checkpoint.open($0) }
        let progress = Progress("unpack", unit: .bytes, quiet: common.quiet)
        let unpacker = ArchiveUnpacker(replaces: force, threads: common.threadCount) { progress.report($0, $1) }
        let summary = try unpacker.unpack(archive, against: base, to: output)
        progress.finish()
        if common.json {
            return Output.json(
                JSONObject([
                    ("output", .string(output)), ("byteCount", .int(summary.byteCount)),
                    ("files", .int(summary.files)),
                    ("seconds", .double((progress.seconds * 1000).rounded() / 1000)),
                ]))
        }
        common.note(
            "wrote \(output): \(counted(summary.files, "file")), \(summary.byteCount.byteText) "
                + "in \(progress.seconds.fixed(1)) s")
    }
}
