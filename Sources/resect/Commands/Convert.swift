internal import ArgumentParser
internal import Checkpoints
internal import Formats
internal import Surgery

/// Moves a checkpoint between containers.
struct ConvertCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "convert",
        abstract: "Move a checkpoint between a Hugging Face folder, safetensors and GGUF.",
        discussion: """
            Names, row orders, configuration, vocabulary, special tokens and chat template go along. Without --dtype \
            weights keep their type; quantized ones become BF16 where the output cannot hold them.
            """)

    @OptionGroup var model: ModelArgument
    @OptionGroup var output: OutputOptions

    @Option(name: .long, help: ArgumentHelp("The type of the weights: f32, f16 or bf16.", valueName: "type"))
    var dtype: String?

    @OptionGroup var common: CommonOptions

    func run() throws {
        var type: DType?
        if let dtype {
            guard let found = DType(named: dtype), [.f32, .f16, .bf16].contains(found) else {
                throw CheckpointError(
                    "the type '\(dtype)' is no plain type",
                    hint: "--dtype takes f32, f16 or bf16; quantize stores fewer bits")
            }
            type = found
        }
        let checkpoint = try model.open()
        let result = try Convert(to: output.form(for: checkpoint), dtype: type).apply(to: checkpoint)
        try WriteRun(output: output, common: common).write(result)
    }
}
