internal import ArgumentParser
internal import Checkpoints
internal import Formats
internal import Surgery

/// Stores the weights in fewer bits.
struct QuantizeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quantize",
        abstract: "Store the weights in fewer bits.",
        discussion: """
            Types: \(Mixture.all.map(\.name).joined(separator: " ")).

            Every tensor gets the type that llama-quantize chooses; where its rows do not divide into blocks, the \
            same fall-back. A folder is converted to GGUF in the same pass.

            \(FolderFormatOptions.discussion)

            --tensor-type may be repeated, and goes before the choice for the tensors in whose names the pattern is \
            found; the first such pattern counts. A pattern is a regular expression in small letters, without what \
            looks ahead or back: ffn_down=Q6_K, 'blk\\.[0-3]\\.attn_(k|v)=Q8_0'.
            """)

    @OptionGroup var model: ModelArgument
    @OptionGroup var output: OutputOptions

    @Option(name: .long, help: ArgumentHelp("The type.", valueName: "type"))
    var type: String

    @OptionGroup var mixture: MixtureOptions
    @OptionGroup var folderFormat: FolderFormatOptions
    @OptionGroup var stack: LayerOptions
    @OptionGroup var inputs: QuantizeInputs

    @Option(
        name: .customLong("imatrix-dropped"), parsing: .singleValue,
        help: ArgumentHelp(
            "Layers that were cut after the importance matrix was measured, such as 3,7,9:12. Repeatable.",
            valueName: "list"))
    var imatrixDropped: [LayerList] = []

    @OptionGroup var common: CommonOptions

    func validate() throws {
        try mixture.validate(with: output)
        if !imatrixDropped.isEmpty, inputs.imatrix == nil {
            throw ValidationError("--imatrix-dropped says what --imatrix was measured on; name that too")
        }
    }

    func run() throws {
        if let type = FolderType(named: type) {
            guard mixture.isEmpty, inputs.suitFolders else {
                throw ValidationError(
                    "--tensor-type, --output-type, --embedding-type, --pure, --keep-split, --imatrix and "
                        + "--allow-nonfinite are not for the types of folders: \(FolderType.names)")
            }
            return try FolderQuantization(
                type: type, options: folderFormat, output: output, inputs: inputs, common: common
            ).run(stack.choosing(in: model.open()))
        }
        if stack.layerPrefix != nil {
            throw ValidationError("--layer-prefix is for the types of folders: \(FolderType.names)")
        }
        if !folderFormat.isEmpty || inputs.allowPlain {
            throw ValidationError(
                "--group-size, --symmetric, --checkpoint-format, --block-size, --double-quant and --allow-plain are for "
                    + "the types of folders: \(FolderType.names)")
        }
        var settings = try mixture.settings(Mixture.asked(type))
        let matrix = try inputs.matrix()
        inputs.apply(to: &settings, matrix: matrix, dropped: try imatrixDropped.union(file: model.path))
        let checkpoint = try model.openPlain()
        let form = try mixture.form(of: output, for: checkpoint)
        let converted = try Convert.beforeQuantization(of: checkpoint, to: form).apply(to: checkpoint)
        let quantize = Quantize(settings)
        let result = try quantize.apply(to: converted)
        let fallbacks = try quantize.fallbacks(in: converted)
        for fallback in fallbacks.grouped { common.note(fallback) }
        let unmeasured = try quantize.unmeasured(from: converted, to: result)
        common.noteUnmeasured(unmeasured, in: matrix)
        var write = WriteRun(output: output, common: common)
        write.keepsShards = mixture.keepSplit
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
    /// One line for each pair of types: how many tensors, and the first of them.
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
            return "\(which): rows do not divide into blocks, so \(line.key)"
        }
    }
}
