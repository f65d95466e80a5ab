internal import ArgumentParser
internal import Checkpoints
internal import Formats
internal import Surgery

/// The `convert` command.
struct ConvertCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "convert",
        abstract: "Convert between Hugging Face folders, safetensors and GGUF; split files and edit metadata.",
        discussion: """
            Converts names, row orders, configuration, vocabulary, special tokens and chat templates. Without --dtype \
            weights keep their type; quantized ones become BF16 when the output cannot store them. NVFP4 and MXFP4 \
            weights of a folder keep their codes and block scales in GGUF bit for bit; the scale of a whole NVFP4 weight may be \
            the reciprocal there, and differ by 1e-7.

            --set and --unset are repeatable and change the output. For GGUF a value is TYPE:VALUE, where TYPE is \
            u8, i8, u16, i16, u32, i32, u64, i64, f32, f64, bool, str or one of these in brackets for an array: \
            general.name=str:Mine, general.alignment=u32:64, k=[i32]:1,2,3, k=[str]:"a","b". For a folder it is JSON for \
            config.json: rope_theta=1e6. For safetensors it is text for __metadata__.

            A LoRA adapter is converted too, from a folder of PEFT to a GGUF file that llama.cpp loads, or back. --base \
            names its model, whose architecture says what the adapter's tensors are.
            """)

    @OptionGroup var model: ModelArgument
    @OptionGroup(title: "Output") var output: OutputOptions

    @Option(
        name: .long,
        help: ArgumentHelp("The type of the weights; quantize stores fewer bits.", valueName: "type"))
    var dtype: FloatType?

    @Flag(name: .long, help: "Allow values that become infinity with --dtype f16 or bf16.")
    var allowNonfinite = false

    @Flag(
        name: .long,
        help:
            "Write only the language model of a folder that also takes images or sound, as the text-only class of its family."
    )
    var textOnly = false

    @Option(
        name: .long, parsing: .singleValue,
        help: ArgumentHelp("Set metadata of the output.", valueName: "key=value"))
    var set: [Assignment] = []

    @Option(
        name: .long, parsing: .singleValue,
        help: ArgumentHelp("Remove metadata from the output.", valueName: "key"))
    var unset: [String] = []

    @Option(
        name: .long,
        help: ArgumentHelp("The model that an adapter is for, a folder or a GGUF file.", valueName: "model"),
        completion: .file())
    var base: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "The form of config.json of a folder made from GGUF: 5 as transformers 5 writes it, 4 as transformers 4 did.",
            valueName: "n"))
    var configVersion = ConfigVersion.newest.rawValue

    @OptionGroup(title: "General") var common: CommonOptions

    func validate() throws {
        guard ConfigVersion(rawValue: configVersion) != nil else {
            throw ValidationError("--config-version \(configVersion) is neither 4 nor 5")
        }
        var seen: Set<String> = []
        for key in set.map(\.assignment.key) + unset where !seen.insert(key).inserted {
            throw ValidationError("the key '\(key)' is set or unset more than once")
        }
    }

    func run() throws {
        let type = dtype?.dtype
        let checkpoint = try model.open()
        if case .adapter = checkpoint.content { return try convert(adapter: checkpoint, to: type) }
        guard base == nil else {
            throw CheckpointError(file: checkpoint.path, "is not an adapter, and --base names the model of one")
        }
        let form = try output.form(for: checkpoint)
        let newest = configVersion == ConfigVersion.newest.rawValue
        guard newest || (checkpoint.form == .gguf && form == .folder) else {
            throw ValidationError("--config-version is for a folder made from GGUF")
        }
        var edits: [any Edit] = textOnly ? [TextOnly()] : []
        edits += [
            Convert(
                to: form, dtype: type, keepsBlocks: true, allowsNonfinite: allowNonfinite,
                configVersion: ConfigVersion(rawValue: configVersion) ?? .newest),
            EditMetadata(removing: unset, setting: set.map(\.assignment)),
        ]
        let result = try checkpoint.applying(edits)
        let exact = result.exactBlockCount
        if exact > 0 { common.note("\(exact) quantized weights keep their codes and block scales exactly") }
        if type == nil, let note = result.wideningNote(since: checkpoint) { common.note(note) }
        var write = WriteRun(output: output, common: common)
        write.provenance = ProvenanceRun(command: ConvertCommand.self, model: checkpoint, isRecorded: false)
        try write.write(result)
    }

    private func convert(adapter: Checkpoint, to type: DType?) throws {
        guard let base else {
            throw CheckpointError(
                file: adapter.path, "is an adapter, and does not say what its tensors are in another container",
                hint: "name its model with --base")
        }
        guard configVersion == ConfigVersion.newest.rawValue else {
            throw ValidationError("--config-version is for a folder made from GGUF; an adapter has no such file")
        }
        guard !textOnly else {
            throw CheckpointError(
                file: adapter.path, "is an adapter, and --text-only takes the language model of a model")
        }
        let form = try output.form(for: adapter)
        guard form == .gguf || set.isEmpty && unset.isEmpty else {
            throw ValidationError("--set and --unset edit GGUF metadata of an adapter, and a folder has none")
        }
        let model = try Checkpoint.open(base)
        try OutputNames([output.dryRun ? nil : output.output, output.manifestPath]).check(models: [adapter, model])
        let result = try adapter.applying([
            ConvertAdapter(
                to: form, base: model, dtype: type, allowsNonfinite: allowNonfinite),
            EditMetadata(removing: unset, setting: set.map(\.assignment)),
        ])
        try WriteRun(output: output, common: common).write(result)
    }
}

/// `KEY=VALUE`; the value may contain `=`.
struct Assignment: ExpressibleByArgument {
    let assignment: EditMetadata.Assignment

    init?(argument: String) {
        guard let sign = argument.firstIndex(of: "="), sign > argument.startIndex else { return nil }
        assignment = .init(key: String(argument[..<sign]), value: String(argument[argument.index(after: sign)...]))
    }
}
