internal import ArgumentParser
internal import Checkpoints
internal import Formats
internal import Surgery

/// Gets an adapter out of two checkpoints.
struct Extract: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Extract a LoRA adapter from a model before and after a training.",
        discussion: """
            BASE and TUNED are the same model before and after a training, of any types, packed or not. Every weight of a \
            Linear in the layers that differs gets the best low-rank change that the rank allows, from a randomized \
            singular value decomposition in f64 with a fixed seed; --energy takes the smallest rank that holds a share \
            of the squared norm of each difference. Experts of a layer become one entry of target_parameters, as \
            transformers 5 holds them. Modules that differ and have no low-rank change, such as norms, \
            embeddings and the output matrix, are stored whole (modules_to_save). The output is a folder that PEFT loads, \
            with a scale of 1.

            The table has a line for each weight: its rank, the norm of its difference, and the share of the squared norm \
            that the adapter holds. With --json: {"modules": [{"name", "rank", "norm", "held"}], "wholeModules", "held"} and \
            what every command that writes gives. --dry-run computes the table too, and writes nothing.
            """)

    @Argument(help: ArgumentHelp("The model before the training.", valueName: "base"), completion: .file())
    var base: String

    @Argument(help: ArgumentHelp("The model after it.", valueName: "tuned"), completion: .file())
    var tuned: String

    @OptionGroup(title: "Output") var output: OutputOptions

    @Option(
        name: .long,
        help: ArgumentHelp("The rank of every matrix; with --energy the highest one.", valueName: "n"))
    var rank: Int?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Take for each matrix the smallest rank that holds this share of the squared norm of its difference: 0.9. Without "
                + "--rank no matrix gets more than 512, the most that serving programs take; one that needs more is an error.",
            valueName: "share"))
    var energy: Double?

    @Option(name: .long, help: ArgumentHelp("The type of the low-rank matrices: f32, f16 or bf16.", valueName: "type"))
    var dtype = AdapterType.f32

    @OptionGroup(title: "General") var common: CommonOptions

    /// The ranks that a user may ask for.
    private static let ranks = 1...4096

    func validate() throws {
        guard rank != nil || energy != nil else {
            throw ValidationError("give --rank N, or --energy SHARE, or both")
        }
        if let rank, !Extract.ranks.contains(rank) { throw ValidationError("--rank takes a number from 1 to 4096") }
        if let energy, !(energy > 0 && energy < 1) { throw ValidationError("--energy takes a number between 0 and 1") }
        if output.isStream || output.format.map({ $0 != .folder }) ?? false || output.shardSize != nil || output.resume
        {
            throw ValidationError(
                "an adapter is a small folder: -o -, --format, --shard-size and --resume are not for extract")
        }
    }

    func run() throws {
        let (before, after) = (try Checkpoint.open(base), try Checkpoint.open(tuned))
        guard try output.form(for: before) == .folder else {
            throw CheckpointError(file: output.output, "is a file by its name; an adapter is a folder")
        }
        var write = WriteRun(output: output, common: common)
        try write.check(ExtractAdapter.outline(from: before, to: after))
        let progress = Progress("extract", unit: .bytes, quiet: common.quiet)
        let extraction = ExtractAdapter(ranks: ranks, dtype: dtype.dtype)
        let result = try extraction.adapter(
            from: before, to: after, baseName: base, threads: common.threadCount,
            progress: { progress.report($0, $1) })
        progress.finish()
        write.extra = json(result)
        if !common.json { report(result) }
        try write.write(result.adapter)
    }

    private var ranks: RankChoice {
        if let rank { return RankChoice(rank: rank, energy: energy) }
        guard let energy else { preconditionFailure("validated before") }
        return RankChoice(energy: energy)
    }

    private func report(_ result: ExtractAdapter.Result) {
        var table = Table(["module", "rank", "norm", "held"])
        for module in result.modules {
            table.add([
                module.name.escapingControls, "\(module.rank)", module.squares.squareRoot().short, percent(module.held),
            ])
        }
        table.print()
        Output.line(
            "\(counted(result.modules.count, "matrix", "matrices")) with a low-rank change, "
                + "\(percent(result.held)) of the squared norm of their differences held; "
                + "\(counted(result.wholeModules.count, "module")) stored whole")
    }

    private func percent(_ share: Double) -> String {
        // 100 % is said only of what holds everything.
        let rounded = share >= 1 - 1e-9 ? 1 : min(share, 0.99999)
        return (rounded * 100).fixed(rounded < 0.999 || rounded == 1 ? 1 : 3) + "%"
    }

    private func json(_ result: ExtractAdapter.Result) -> [(String, JSON)] {
        [
            (
                "modules",
                .array(
                    result.modules.map { module in
                        .object(
                            JSONObject([
                                ("name", .string(module.name)), ("rank", .int(module.rank)),
                                ("norm", .double(module.squares.squareRoot())), ("held", .double(module.held)),
                            ]))
                    })
            ),
            ("wholeModules", .array(result.wholeModules.map(JSON.string))), ("held", .double(result.held)),
        ]
    }
}

/// A type of an adapter's matrices.
enum AdapterType: String, ExpressibleByArgument, CaseIterable {
    case f32, f16, bf16

    var dtype: DType {
        switch self {
        case .f32: .f32
        case .f16: .f16
        case .bf16: .bf16
        }
    }
}
