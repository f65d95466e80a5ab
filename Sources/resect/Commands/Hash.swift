internal import ArgumentParser
internal import Checkpoints
internal import Formats

/// Hashes of all tensors.
struct Hash: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print a hash of every tensor, and one of them all.",
        discussion: """
            With xxh3-128 the total is a hash over names, types, shapes and hashes in order of the names: the order in \
            the file does not matter. With xxh64 it is that of all bytes in file order: what llama-gguf-hash --xxh64 \
            prints, line for line. With --json: {"algorithm", "total", "tensors": {name: hash}}.
            """)

    @OptionGroup var model: ModelArgument

    @Option(name: .long, help: ArgumentHelp("The hash: xxh3-128 or xxh64.", valueName: "name"))
    var algorithm = HashArgument.wide

    @Option(
        name: [.customShort("o"), .customLong("manifest")],
        help: ArgumentHelp("Write a manifest for verify too.", valueName: "file"))
    var manifest: String?

    @Flag(name: .long, help: "Replace a manifest that exists.")
    var force = false

    @OptionGroup var common: CommonOptions

    func run() throws {
        let checkpoint = try model.open()
        if let manifest { try ManifestFile.check(manifest, replaces: force, for: checkpoint) }
        let progress = Progress("hash", unit: .bytes, quiet: common.quiet)
        let hashes = try Manifest(
            checkpoint, algorithm: algorithm.algorithm, threads: common.threadCount,
            progress: { progress.report($0, $1) })
        progress.finish()
        if let manifest { try ManifestFile.write(hashes, to: manifest, replaces: force) }
        if common.json {
            var tensors = JSONObject()
            for entry in hashes.entries { tensors[entry.name] = .string(entry.digest.description) }
            Output.json(
                JSONObject([
                    ("algorithm", .string(hashes.algorithm.rawValue)), ("total", .string(hashes.total.description)),
                    ("tensors", .object(tensors)),
                ]))
            return
        }
        let label = hashes.algorithm.rawValue.padded(8)
        for entry in hashes.entries {
            Output.line("\(label)  \(entry.digest)  \(model.path):\(entry.name)".escapingControls)
        }
        Output.line("\(label)  \(hashes.total)  \(model.path)".escapingControls)
    }
}

/// A hash, by the name that the command line takes.
enum HashArgument: String, ExpressibleByArgument, CaseIterable {
    case wide = "xxh3-128"
    case narrow = "xxh64"

    var algorithm: HashAlgorithm { self == .wide ? .xxh3_128 : .xxh64 }
}
