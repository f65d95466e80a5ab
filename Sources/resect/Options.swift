internal import Analysis
internal import ArgumentParser
internal import Checkpoints
internal import Formats
internal import Healing
internal import Surgery

/// The MODEL argument.
struct ModelArgument: ParsableArguments {
    @Argument(
        help: ArgumentHelp(
            "A folder, a .safetensors, .gguf or PyTorch file, an archive, - for standard input, or org/model in the hub cache.",
            valueName: "model"),
        completion: .file())
    var path: String

    func open() throws -> Checkpoint { try Checkpoint.open(path) }

    /// The model with dequantized weights, to run it.
    func openPlain() throws -> Checkpoint { try DequantizeFolder(to: .f32).apply(to: open()) }
}

/// The choice of a stack of layers in a model with several.
struct LayerOptions: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "The stack of layers in a model with several: the text before the layer number in its tensor names, such as "
                + "model.decoder.layers.",
            valueName: "prefix"))
    var layerPrefix: String?

    /// The checkpoint with the stack chosen.
    ///
    /// - Throws: when the model does not have this stack.
    func choosing(in checkpoint: Checkpoint) throws(CheckpointError) -> Checkpoint {
        guard let layerPrefix else { return checkpoint }
        var result = checkpoint
        result.layerPrefix = layerPrefix
        _ = try result.layers()
        return result
    }
}

/// Whether to keep modules for multi-token prediction.
enum PredictorChoice: String, ExpressibleByArgument, CaseIterable {
    case keep, drop

    /// The edits for this choice.
    var edits: [any Edit] { self == .drop ? [DropPredictors()] : [] }
}

/// Modules for multi-token prediction in the output.
struct PredictorOption: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Modules for multi-token prediction: keep them behind the remaining layers, or drop them.",
            valueName: "choice"))
    var mtp = PredictorChoice.keep
}

/// Options of every command.
struct CommonOptions: ParsableArguments {
    @Flag(name: .long, help: "Print the result as one JSON object.")
    var json = false

    @Flag(name: .shortAndLong, help: "Show no progress and no notes.")
    var quiet = false

    @Option(name: .shortAndLong, help: ArgumentHelp("The number of threads. Default: all CPUs.", valueName: "n"))
    var threads: Int?

    @Option(
        name: .customLong("color"),
        help: ArgumentHelp(
            "Colour the output: auto does so on a terminal, unless NO_COLOR is set or TERM is dumb.", valueName: "when")
    )
    var colour = ColourChoice.auto

    var threadCount: Int { threads ?? FileSystem.processorCount }

    func validate() throws {
        if let threads, !(1...1024).contains(threads) {
            throw ValidationError("--threads must be a number from 1 to 1024")
        }
    }

    /// A note on standard error.
    func note(_ text: String) { if !quiet { Output.message(text) } }

    /// Prints a note when contexts are longer than those that the model was trained for.
    func noteLength(of context: Int, for checkpoint: Checkpoint) {
        guard let longest = checkpoint.longestContext, context > longest else { return }
        note(
            "a context of \(context.grouped) tokens is longer than the \(longest.grouped) that the model was trained for; "
                + "the results may not be meaningful")
    }
}

/// Options of the output.
struct OutputOptions: ParsableArguments {
    @Option(
        name: [.short, .customLong("output")],
        help: ArgumentHelp(
            "The output: x.gguf, x.safetensors, a folder, or - for standard output.", valueName: "path"),
        completion: .file())
    var output: String

    @Option(name: .long, help: ArgumentHelp("The format of the output, regardless of its name.", valueName: "form"))
    var format: FormArgument?

    @Option(
        name: .long, defaultAsFlag: OutputOptions.manifestBesideOutput, parsing: .next,
        help: ArgumentHelp(
            "Also write a manifest of the output. Default path: OUTPUT.manifest.json.",
            valueName: "path"), completion: .file())
    var manifest: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Split a folder or a GGUF file into files of at most this size: 5GB, 500MB, 2GiB, or a number of bytes.",
            valueName: "size"))
    var shardSize: ShardSize?

    @Flag(name: .shortAndLong, help: "Replace an existing output.")
    var force = false

    @Flag(
        name: .long,
        help: "Continue an interrupted run of the same command, and keep unfinished output if this run is interrupted.")
    var resume = false

    @Flag(
        name: .long,
        help: "Do not wait until the output is on disk: faster, but a power failure may damage it.")
    var noSync = false

    @Flag(name: [.customShort("n"), .long], help: "Print the planned output tensor by tensor, and write nothing.")
    var dryRun = false

    @Flag(
        name: .long, inversion: .prefixedNo,
        help: ArgumentHelp(
            "Write into the output how it was made, or do not: resect.json and README.md of a folder, resect.* in the metadata of "
                + "GGUF and safetensors. Default: where weights are cut, healed or merged, and where the model has such a "
                + "history already."))
    var provenance: Bool?

    /// Stands for the default path of a manifest.
    private static let manifestBesideOutput = ""

    /// The path of the manifest; `nil` without one.
    var manifestPath: String? {
        guard let manifest, manifest == OutputOptions.manifestBesideOutput else { return manifest }
        var name = output
        while name.count > 1, name.hasSuffix("/") { name.removeLast() }
        return name + ".manifest.json"
    }

    /// Whether the output goes to standard output.
    var isStream: Bool { output == "-" }

    /// The container of the output; for a stream by default that of the input.
    ///
    /// - Throws: when the name of the output has an unsupported extension.
    func form(for checkpoint: Checkpoint) throws(CheckpointError) -> Checkpoint.Form {
        if let format { return format.form }
        return isStream ? checkpoint.form : try OutputEnding.form(of: output)
    }

    func validate() throws {
        if output.isEmpty { throw ValidationError("-o needs the name of the output") }
        if format == nil, !isStream {
            do throws(CheckpointError) { _ = try OutputEnding.form(of: output) } catch {
                throw ValidationError("\(output): \(error.problem)", hint: error.hint)
            }
        }
        if manifest == "-" { throw ValidationError("--manifest needs the name of a file") }
        if isStream, shardSize != nil { throw ValidationError("--shard-size writes several files; -o - writes one") }
        if isStream, resume { throw ValidationError("--resume continues a file; -o - writes none") }
        if isStream, force { throw ValidationError("--force replaces a file; -o - writes none") }
        if isStream, manifest != nil {
            throw ValidationError("--manifest hashes the output on disk; -o - writes none")
        }
    }
}

/// A container by its command-line name.
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

/// How a text is divided into contexts, and how the model is run on them.
struct SampleOptions: ParsableArguments {
    @Option(name: .long, help: ArgumentHelp("Number of tokens in a context.", valueName: "n"))
    var context = 512

    @Option(name: .long, help: ArgumentHelp("The number of contexts to measure distances on.", valueName: "n"))
    var samples = 16

    @Option(
        name: .long,
        help: ArgumentHelp("Tokens to average distances over: the last of every context, or all.", valueName: "which"))
    var tokens = TokenChoice.last

    @Flag(name: .long, help: "Let a run include the last layer, which usually differs from the others.")
    var includeLast = false

    @Option(
        name: .long,
        help: ArgumentHelp(
            "How many of the closest runs are left out in a trial; in heal and shrink with --choose loss.",
            valueName: "n"))
    var candidates = RunChooser.standardLimit

    @Option(
        name: .long, help: ArgumentHelp("The number of contexts on which those trials are measured.", valueName: "n"))
    var lossSamples = RunChooser.standardContexts

    @OptionGroup var precision: PrecisionOption

    func validate() throws {
        if context < 2 { throw ValidationError("--context must be at least 2") }
        if samples < 1 { throw ValidationError("--samples must be at least 1") }
        if candidates < 1 { throw ValidationError("--candidates must be at least 1") }
        if lossSamples < 1 { throw ValidationError("--loss-samples must be at least 1") }
    }

    /// What chooses a run of layers of a model whose weights can be run.
    func chooser(_ checkpoint: Checkpoint, _ common: CommonOptions, _ work: Work? = nil) -> RunChooser {
        var chooser = RunChooser(
            checkpoint, run: precision.run(threads: common.threadCount), work: work ?? common.work)
        (chooser.limit, chooser.lossContexts) = (candidates, lossSamples)
        return chooser
    }

    /// The distances that analyze wrote for a model.
    ///
    /// - Throws: when they are those of another model, or lack what --tokens asks for.
    func similarity(of analysis: String, _ checkpoint: Checkpoint) throws(CheckpointError) -> Similarity {
        let found = try AnalysisFile.read(analysis, layers: checkpoint.layerCount, model: checkpoint.path)
        if tokens == .all, found.all == nil {
            throw CheckpointError(
                file: analysis, "has no distances over all tokens", hint: "create it with analyze --tokens all")
        }
        return found
    }
}

/// The precision of matrix products.
struct PrecisionOption: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Precision of activations in products with bf16 weights: f32 (exact) or bf16 (faster on CPUs with bf16 instructions).",
            valueName: "kind"))
    var precision = PrecisionArgument.f32

    func run(threads: Int) -> RunOptions {
        RunOptions(precision: precision.precision, threads: threads)
    }
}

/// A precision by its command-line name.
enum PrecisionArgument: String, ExpressibleByArgument, CaseIterable {
    case f32, bf16

    var precision: RunOptions.Precision { self == .f32 ? .f32 : .bf16 }
}

/// The tokens over which distances are averaged.
enum TokenChoice: String, ExpressibleByArgument, CaseIterable {
    case last, all
}

/// The number of layers to drop: a number, or a percentage such as `25%`.
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
            let rounded = percent.map { ", which is \($0.fixed(1))% of them, rounded" } ?? ""
            throw CheckpointError(file: file, "cannot drop \(count) of \(layers) layers\(rounded)")
        }
        return count
    }
}

extension Mixture {
    /// The mixture that `--type` names.
    ///
    /// - Throws: an error with the known names.
    static func asked(_ name: String) throws(CheckpointError) -> Mixture {
        guard let mixture = named(name) else {
            throw CheckpointError(
                "the type '\(name)' is not known",
                hint: "known: " + all.map(\.name).joined(separator: " ") + "; for folders: " + FolderType.names)
        }
        return mixture
    }
}
