internal import ArgumentParser
internal import Checkpoints
internal import Formats

/// The `hash` command.
struct Hash: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print a hash of every tensor and a total.",
        discussion: """
            With xxh3-128 the total covers names, types, shapes and hashes in order of the names, so the order in the \
            file does not matter. With xxh64 it covers all bytes in file order, and the output equals that of \
            llama-gguf-hash --xxh64. With --json: {"algorithm", "total", "tensors": {name: hash}}.
            """)

    @OptionGroup var model: ModelArgument

    @Option(name: .long, help: ArgumentHelp("The hash: xxh3-128 or xxh64.", valueName: "name"))
    var algorithm = HashArgument.xxh3

    @Option(
        name: [.customShort("o"), .customLong("manifest")],
        help: ArgumentHelp("Also write a manifest for verify.", valueName: "file"), completion: .file())
    var manifest: String?

    @Flag(name: .shortAndLong, help: "Replace an existing manifest.")
    var force = false

    @OptionGroup(title: "General") var common: CommonOptions

    func validate() throws {
        if force, manifest == nil { throw ValidationError("--force replaces the manifest of -o") }
        if manifest == "-" { throw ValidationError("-o needs the name of a file; --json prints to standard output") }
    }

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

/// A hash algorithm by its command-line name.
enum HashArgument: String, ExpressibleByArgument, CaseIterable {
    case xxh3 = "xxh3-128"
    case xxh64

    var algorithm: HashAlgorithm { self == .xxh3 ? .xxh3_128 : .xxh64 }
}
