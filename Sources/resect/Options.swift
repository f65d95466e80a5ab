internal import Analysis
internal import ArgumentParser
internal import Checkpoints
internal import Formats
internal import Surgery

/// The model that a command reads.
struct ModelArgument: ParsableArguments {
    @Argument(
        help: ArgumentHelp(
            "A folder, a .safetensors, .gguf or PyTorch file, an archive, or - for standard input.", valueName: "model")
    )
    var path: String

    func open() throws -> Checkpoint { try Checkpoint.open(path) }

    /// The model with plain weights, for those who compute with them.
    func openPlain() throws -> Checkpoint { try DequantizeFolder(to: .f32).apply(to: open()) }
}

/// Which numbered tensors are the layers, where a model has several stacks of them.
struct LayerOptions: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "The stack of layers that is meant, where a model has several: the text before the number in the names of its "
                + "tensors, such as model.decoder.layers.",
            valueName: "prefix"))
    var layerPrefix: String?

    /// The checkpoint with the stack chosen.
    ///
    /// - Throws: when there is no such stack.
    func choosing(in checkpoint: Checkpoint) throws(CheckpointError) -> Checkpoint {
        guard let layerPrefix else { return checkpoint }
        var result = checkpoint
        result.layerPrefix = layerPrefix
        _ = try result.layers()
        return result
    }
}

/// What becomes of modules for multi-token prediction.
enum PredictorChoice: String, ExpressibleByArgument, CaseIterable {
    case keep, drop

    /// The edits that a choice needs.
    var edits: [any Edit] { self == .drop ? [DropPredictors()] : [] }
}

/// Modules for multi-token prediction in the output.
struct PredictorOption: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Modules for multi-token prediction: keep them behind the layers that are left, or drop them.",
            valueName: "choice"))
    var mtp = PredictorChoice.keep
}

/// What every command understands.
struct CommonOptions: ParsableArguments {
    @Flag(name: .long, help: "Print the answer as one JSON object.")
    var json = false

    @Flag(name: .long, help: "Show no progress, and no notes.")
    var quiet = false

    @Option(name: .long, help: ArgumentHelp("How many threads run; all processors by default.", valueName: "n"))
    var threads: Int?

    var threadCount: Int { threads ?? FileSystem.processorCount }

    func validate() throws {
        if let threads, !(1...1024).contains(threads) {
            throw ValidationError("--threads takes a number from 1 to 1024")
        }
    }

    /// A note on standard error.
    func note(_ text: String) { if !quiet { Output.message(text) } }

    /// Says so when contexts are longer than those that the model was made for.
    func noteLength(of context: Int, for checkpoint: Checkpoint) {
        guard let longest = checkpoint.longestContext, context > longest else { return }
        note(
            "a context of \(context.grouped) tokens is longer than the \(longest.grouped) that the model was made for; "
                + "what is measured may mean little")
    }
}

/// Where a command writes.
struct OutputOptions: ParsableArguments {
    @Option(
        name: [.short, .customLong("output")],
        help: ArgumentHelp(
            "What to write: x.gguf, x.safetensors, a folder, or - for standard output.", valueName: "path"))
    var output: String

    @Option(name: .long, help: ArgumentHelp("The form of the output, whatever its name.", valueName: "form"))
    var format: FormArgument?

    @Option(
        name: .long, defaultAsFlag: OutputOptions.manifestBesideOutput, parsing: .next,
        help: ArgumentHelp(
            "Write a manifest of the output too, to a path or by default beside it: OUTPUT.manifest.json.",
            valueName: "path"))
    var manifest: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Split a folder or a GGUF file into files of at most this size: 5GB, 500MB, 2GiB, or a number of bytes.",
            valueName: "size"))
    var shardSize: ShardSize?

    @Flag(name: .long, help: "Replace an output that exists.")
    var force = false

    @Flag(
        name: .long,
        help: "Go on with an interrupted run of the same command, and keep what is done when this one is interrupted.")
    var resume = false

    @Flag(
        name: .long,
        help: "Do not wait until the output is on the disk: faster, but a power failure may then leave less of it.")
    var noSync = false

    @Flag(name: .long, help: "Print what would be written, tensor by tensor, and write nothing.")
    var dryRun = false

    /// What stands for the path of a manifest when none is given.
    private static let manifestBesideOutput = ""

    /// Where the manifest goes; `nil` when none is asked for.
    var manifestPath: String? {
        guard let manifest, manifest == OutputOptions.manifestBesideOutput else { return manifest }
        var name = output
        while name.count > 1, name.hasSuffix("/") { name.removeLast() }
        return name + ".manifest.json"
    }

    /// Whether the output goes to standard output.
    var isStream: Bool { output == "-" }

    /// The form of the output; a stream has that of its input unless another one is asked for.
    ///
    /// - Throws: when the ending of the output's name is none that is written.
    func form(for checkpoint: Checkpoint) throws(CheckpointError) -> Checkpoint.Form {
        if let format { return format.form }
        return isStream ? checkpoint.form : try OutputEnding.form(of: output)
    }

    func validate() throws {
        if isStream, shardSize != nil { throw ValidationError("--shard-size makes several files; -o - writes one") }
        if isStream, resume { throw ValidationError("--resume goes on with a file; -o - writes none") }
        if isStream, force { throw ValidationError("--force replaces a file; -o - writes none") }
        if isStream, manifest != nil {
            throw ValidationError("--manifest hashes what is on the disk; -o - writes nothing there")
        }
    }
}

/// A form, by the name that the command line takes.
enum FormArgument: String, ExpressibleByArgument, CaseIterable {
    case folder, safetensors, gguf

    var form: Checkpoint.Form {
        switch self {
        case .folder: .folder
        case .safetensors: .safetensors
        case .gguf: .gguf
        }
    }
}

/// How a text is cut into contexts, and how the model is run on them.
struct SampleOptions: ParsableArguments {
    @Option(name: .long, help: ArgumentHelp("Tokens in a context.", valueName: "n"))
    var context = 512

    @Option(name: .long, help: ArgumentHelp("How many contexts of the text are run for the distances.", valueName: "n"))
    var samples = 16

    @Option(
        name: .long,
        help: ArgumentHelp("Which tokens decide: the last of every context, or all.", valueName: "which"))
    var tokens = TokenChoice.last

    @Flag(name: .long, help: "Let blocks reach the last layer, which is rarely like the others.")
    var includeLast = false

    @OptionGroup var precision: PrecisionOption
}

/// How products are computed.
struct PrecisionOption: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "How activations meet bf16 weights: in f32, or rounded to bf16, faster where the CPU multiplies it.",
            valueName: "kind"))
    var precision = PrecisionArgument.f32

    func run(threads: Int) -> RunOptions {
        RunOptions(precision: precision.precision, threads: threads)
    }
}

/// A precision, by the name that the command line takes.
enum PrecisionArgument: String, ExpressibleByArgument, CaseIterable {
    case f32, bf16

    var precision: RunOptions.Precision { self == .f32 ? .f32 : .bf16 }
}

/// The tokens over which distances are averaged.
enum TokenChoice: String, ExpressibleByArgument, CaseIterable {
    case last, all
}

/// How many layers to drop: a number, or a share such as `25%`.
struct DropCount: ExpressibleByArgument {
    private let number: Int?
    private let percent: Double?

    init?(argument: String) {
        if argument.hasSuffix("%") {
            guard let value = Double(argument.dropLast()), value > 0, value < 100 else { return nil }
            (number, percent) = (nil, value)
        } else {
            guard let value = Int(argument), value > 0 else { return nil }
            (number, percent) = (value, nil)
        }
    }

    /// The number of layers of a model that has `layers`.
    func count(of layers: Int, file: String) throws(CheckpointError) -> Int {
        let count = number ?? Int((Double(layers) * (percent ?? 0) / 100).rounded())
        guard count > 0, count < layers else {
            throw CheckpointError(file: file, "dropping \(count) of \(layers) layers is not possible")
        }
        return count
    }
}

extension Mixture {
    /// The mixture that `--type` names.
    ///
    /// - Throws: with the names that are known.
    static func asked(_ name: String) throws(CheckpointError) -> Mixture {
        guard let mixture = named(name) else {
            throw CheckpointError(
                "the type '\(name)' is not known",
                hint: "known: " + all.map(\.name).joined(separator: " ") + "; for folders: " + FolderType.names)
        }
        return mixture
    }
}
