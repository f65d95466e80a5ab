internal import ArgumentParser
internal import Checkpoints
internal import Surgery

/// How the types of a mixture are chosen otherwise than llama-quantize chooses without options.
struct MixtureOptions: ParsableArguments {
    @Option(
        name: .long, parsing: .singleValue,
        help: ArgumentHelp("Another type for the tensors of a name.", valueName: "pattern=type"))
    var tensorType: [String] = []

    @Option(
        name: .long,
        help: ArgumentHelp("The type of the output matrix, or of the embedding that serves as one.", valueName: "type"))
    var outputType: String?

    @Option(name: .long, help: ArgumentHelp("The type of the embedding.", valueName: "type"))
    var embeddingType: String?

    @Flag(name: .long, help: "Give every tensor the same type, without llama-quantize's exceptions.")
    var pure = false

    @Flag(name: .long, help: "Write as many files as the input has, each with the tensors of one.")
    var keepSplit = false

    var isEmpty: Bool { tensorType.isEmpty && outputType == nil && embeddingType == nil && !pure && !keepSplit }

    /// A mixture with what is asked for.
    func settings(_ mixture: Mixture) throws -> Quantize.Settings {
        var settings = Quantize.Settings(mixture)
        settings.byName = try tensorType.map { text throws(CheckpointError) in try TypeByName(text) }
        settings.output = try outputType.map(Quantize.encodedType(named:))
        settings.embedding = try embeddingType.map(Quantize.encodedType(named:))
        settings.isPure = pure
        settings.keepsFileOrder = keepSplit
        return settings
    }

    /// Finds what contradicts the other options of the output.
    func validate(with output: OutputOptions) throws {
        guard keepSplit else { return }
        if output.shardSize != nil {
            throw ValidationError(
                "--keep-split and --shard-size both say how the output is split; leave one of them out")
        }
        if output.isStream { throw ValidationError("--keep-split may make several files; -o - writes one") }
    }

    /// The form of the output, when the shards of a checkpoint can be kept in it, or need not be.
    func form(of output: OutputOptions, for checkpoint: Checkpoint) throws(CheckpointError) -> Checkpoint.Form {
        let form = try output.form(for: checkpoint)
        let shards = checkpoint.shardTensorCounts.count
        if keepSplit, shards > 0, form != checkpoint.form {
            throw CheckpointError(
                file: checkpoint.path, "has \(shards.grouped) files of another kind, which the output cannot keep",
                hint: "--shard-size splits it by size")
        }
        return form
    }
}
