internal import ArgumentParser
internal import Checkpoints
internal import Formats
internal import Surgery

/// Moves a checkpoint between containers.
struct ConvertCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "convert",
        abstract: "Move a checkpoint between a Hugging Face folder, safetensors and GGUF, split it, edit its metadata.",
        discussion: """
            Names, row orders, configuration, vocabulary, special tokens and chat template go along. Without --dtype \
            weights keep their type; quantized ones become BF16 where the output cannot hold them. NVFP4 and MXFP4 of a \
            folder become those of GGUF bit for bit.

            --set and --unset may be repeated, and hold for the output. For GGUF a value is TYPE:VALUE, where TYPE is \
            u8, i8, u16, i16, u32, i32, u64, i64, f32, f64, bool, str or one of these in brackets for an array: \
            general.name=str:Mine, general.alignment=u32:64, k=[i32]:1,2,3, k=[str]:"a","b". For a folder it is JSON for \
            config.json: rope_theta=1e6. For safetensors it is text for __metadata__.
            """)

    @OptionGroup var model: ModelArgument
    @OptionGroup var output: OutputOptions

    @Option(name: .long, help: ArgumentHelp("The type of the weights: f32, f16 or bf16.", valueName: "type"))
    var dtype: String?

    @Flag(name: .long, help: "Write infinity for values that are too large for --dtype f16 or bf16.")
    var allowNonfinite = false

    @Option(
        name: .long, parsing: .singleValue,
        help: ArgumentHelp("Set metadata of the output.", valueName: "key=value"))
    var set: [Assignment] = []

    @Option(
        name: .long, parsing: .singleValue,
        help: ArgumentHelp("Remove metadata from the output.", valueName: "key"))
    var unset: [String] = []

    @OptionGroup var common: CommonOptions

    func validate() throws {
        var seen: Set<String> = []
        for key in set.map(\.assignment.key) + unset where !seen.insert(key).inserted {
            throw ValidationError("the key '\(key)' is set or unset more than once")
        }
    }

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
        let result = try checkpoint.applying([
            Convert(to: output.form(for: checkpoint), dtype: type, keepsBlocks: true, allowsNonfinite: allowNonfinite),
            EditMetadata(removing: unset, setting: set.map(\.assignment)),
        ])
        let exact = result.exactBlockCount
        if exact > 0 { common.note("\(exact) packed weights keep their codes and scales: exact") }
        try WriteRun(output: output, common: common).write(result)
    }
}

/// `KEY=VALUE`, where the value may hold another `=`.
struct Assignment: ExpressibleByArgument {
    let assignment: EditMetadata.Assignment

    init?(argument: String) {
        guard let sign = argument.firstIndex(of: "="), sign > argument.startIndex else { return nil }
        assignment = .init(key: String(argument[..<sign]), value: String(argument[argument.index(after: sign)...]))
    }
}
