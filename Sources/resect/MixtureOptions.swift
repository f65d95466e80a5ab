internal import ArgumentParser
internal import Checkpoints
internal import Surgery

/// Options that override llama-quantize's default types.
struct MixtureOptions: ParsableArguments {
    @Option(
        name: .long, parsing: .singleValue,
        help: ArgumentHelp(
            "Override the type of tensors whose name matches, such as ffn_down=Q6_K. Repeatable; the first match wins.",
            valueName: "pattern=type"))
    var tensorType: [String] = []

    @Option(
        name: .long,
        help: ArgumentHelp("The type of the output matrix, or of the tied embedding.", valueName: "type"))
    var outputType: EncodedType?

    @Option(name: .long, help: ArgumentHelp("The type of the embedding.", valueName: "type"))
    var embeddingType: EncodedType?

    @Flag(name: .long, help: "Give every tensor the same type, without llama-quantize's exceptions.")
    var pure = false

    @Flag(name: .long, help: "Split the output into files as the input is.")
    var keepSplit = false

    var isEmpty: Bool { tensorType.isEmpty && outputType == nil && embeddingType == nil && !pure && !keepSplit }

    func validate() throws {
        for text in tensorType {
            do throws(CheckpointError) { _ = try TypeByName(text) } catch {
                throw ValidationError("--tensor-type: \(error.problem)", hint: error.hint)
            }
        }
    }

    /// The settings for a mixture with these options.
    func settings(_ mixture: Mixture) throws -> Quantize.Settings {
        var settings = Quantize.Settings(mixture)
        settings.byName = try tensorType.map { text throws(CheckpointError) in try TypeByName(text) }
        settings.output = outputType?.dtype
        settings.embedding = embeddingType?.dtype
        settings.isPure = pure
        settings.keepsFileOrder = keepSplit
        return settings
    }

    /// Refuses combinations with other output options.
    func validate(with output: OutputOptions) throws {
        guard keepSplit else { return }
        if output.shardSize != nil {
            throw ValidationError(
                "--keep-split and --shard-size exclude each other")
        }
        if output.isStream { throw ValidationError("--keep-split may write several files; -o - writes one") }
    }

    /// The container of the output. Throws when --keep-split is not possible.
    func form(of output: OutputOptions, for checkpoint: Checkpoint) throws(CheckpointError) -> Checkpoint.Form {
        let form = try output.form(for: checkpoint)
        let shards = checkpoint.shardTensorCounts.count
        if keepSplit, shards > 0, form != checkpoint.form {
            throw CheckpointError(
                file: checkpoint.path, "has \(shards.grouped) files of another container, which the output cannot keep",
                hint: "--shard-size splits it by size")
        }
        return form
    }
}
