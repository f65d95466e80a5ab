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

            W4A16 is for folders: the weights of the Linears are packed as compressed-tensors reads them, everything \
            else stays.
            """)

    @OptionGroup var model: ModelArgument
    @OptionGroup var output: OutputOptions

    @Option(name: .long, help: ArgumentHelp("The type.", valueName: "type"))
    var type: String

    @OptionGroup var packed: PackedOptions
    @OptionGroup var common: CommonOptions

    func run() throws {
        if let type = PackedType(named: type) {
            return try PackedQuantization(type: type, options: packed, output: output, common: common).run(model.open())
        }
        if !packed.isEmpty {
            throw ValidationError(
                "--group-size, --symmetric and --asymmetric are for the types of folders: \(PackedType.names)")
        }
        let mixture = try Mixture.asked(type)
        let checkpoint = try model.openPlain()
        let converted = try Convert(to: output.form(for: checkpoint)).apply(to: checkpoint)
        let quantize = Quantize(mixture)
        let result = try quantize.apply(to: converted)
        for fallback in quantize.fallbacks(in: converted).grouped {
            common.note(fallback)
        }
        let bits = Double(result.byteCount) * 8 / Double(max(1, result.parameterCount))
        var write = WriteRun(output: output, common: common)
        write.extra = [
            ("type", .string(mixture.name)), ("bitsPerWeight", .double((bits * 1000).rounded() / 1000)),
        ]
        try write.write(result)
    }
}

extension [(tensor: String, wanted: String, used: String)] {
    /// One line for each pair of types: how many tensors, and the first of them.
    var grouped: [String] {
        var lines: [(key: String, count: Int, first: String)] = []
        for (tensor, wanted, used) in self {
            let key = "\(used) instead of \(wanted)"
            if let place = lines.firstIndex(where: { $0.key == key }) {
                lines[place].count += 1
            } else {
                lines.append((key, 1, tensor))
            }
        }
        return lines.map { line in
            let which = line.count == 1 ? line.first : "\(line.count) tensors (\(line.first), …)"
            return "\(which): rows do not divide into blocks, so \(line.key)"
        }
    }
}
