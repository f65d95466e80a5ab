internal import ArgumentParser
internal import Checkpoints
internal import Formats
internal import Surgery

/// The `quantize` command.
struct QuantizeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quantize",
        abstract: "Store weights in fewer bits.",
        discussion: """
            Every tensor gets the type that llama-quantize chooses, including its substitute when the row length is not a \
            multiple of the block size. A folder is converted to GGUF in the same pass.

            \(FolderFormatOptions.discussion)

            In --tensor-type PATTERN=TYPE, PATTERN is a lower-case regular expression without look-around: ffn_down=Q6_K, 'blk\\.[0-3]\\.attn_(k|v)=Q8_0'.
            """)

    @OptionGroup var model: ModelArgument
    @OptionGroup(title: "Output") var output: OutputOptions

    @Option(name: .long, help: ArgumentHelp("Target type.", valueName: "type"))
    var type: WeightType

    @OptionGroup(title: "GGUF types") var mixture: MixtureOptions
    @OptionGroup(title: "Folder formats") var folderFormat: FolderFormatOptions
    @OptionGroup(title: "Layers") var stack: LayerOptions
    @OptionGroup(title: "Quantization") var inputs: QuantizeInputs

    @OptionGroup(title: "General") var common: CommonOptions

    func validate() throws {
        try mixture.validate(with: output)
        try inputs.check(for: type, mixture, folderFormat)
        if type.folder == nil, stack.layerPrefix != nil {
            throw ValidationError("--layer-prefix applies to folder types only: \(FolderType.names)")
        }
    }

    func run() throws {
        if let type = type.folder {
            return try FolderQuantization(
                type: type, options: folderFormat, output: output, inputs: inputs, common: common
            ).run(stack.choosing(in: model.open()))
        }
        var settings = try mixture.settings(Mixture.asked(type.name))
        let matrix = try inputs.matrix()
        inputs.apply(to: &settings, matrix: matrix, dropped: try inputs.imatrixDropped.union(file: model.path))
        let opened = try model.open()
        let checkpoint = try DequantizeFolder(to: .f32).apply(to: opened)
        let form = try mixture.form(of: output, for: checkpoint)
        let converted = try Convert.beforeQuantization(of: checkpoint, to: form).apply(to: checkpoint)
        let quantize = Quantize(settings)
        let result = try quantize.apply(to: converted)
        let fallbacks = try quantize.fallbacks(in: converted)
        for fallback in fallbacks.grouped { common.note(fallback) }
        let unmeasured = try quantize.unmeasured(from: converted, to: result)
        if let note = matrix?.note(unmeasured: unmeasured) { common.note(note) }
        var write = WriteRun(output: output, common: common)
        write.keepsShards = mixture.keepSplit
        write.provenance = ProvenanceRun(
            command: QuantizeCommand.self, model: opened, isRecorded: false,
            others: inputs.imatrix.map { [("imatrix", $0)] } ?? [])
        write.extra = [
            ("type", .string(settings.mixture.name)),
            ("bitsPerWeight", .double((result.bitsPerWeight * 1000).rounded() / 1000)),
        ]
        if !fallbacks.isEmpty { write.extra.append(("fallbacks", .array(fallbacks.map(\.json)))) }
        if let matrix { write.extra.append(("importance", matrix.json(unmeasured: unmeasured.count))) }
        try write.write(result)
    }
}

extension Quantize.Fallback {
    fileprivate var json: JSON {
        .object(JSONObject([("tensor", .string(tensor)), ("wanted", .string(wanted)), ("used", .string(used))]))
    }
}

extension [Quantize.Fallback] {
    /// One line per pair of types: the number of tensors and the first one.
    var grouped: [String] {
        var lines: [(key: String, count: Int, first: String)] = []
        for fallback in self {
            let key = "\(fallback.used) instead of \(fallback.wanted)"
            if let index = lines.firstIndex(where: { $0.key == key }) {
                lines[index].count += 1
            } else {
                lines.append((key, 1, fallback.tensor))
            }
        }
        return lines.map { line in
            let which = line.count == 1 ? line.first : "\(line.count) tensors (\(line.first), …)"
            return "\(which): row length is not a multiple of the block size, so \(line.key)"
        }
    }
}
