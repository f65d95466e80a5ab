internal import ArgumentParser
internal import Checkpoints
internal import Formats
internal import Surgery

/// Options of the quantized folder formats.
struct FolderFormatOptions: ParsableArguments {
    /// The help text about these types.
    static let discussion = """
        W4A16, GPTQ, AWQ and MLX4 write folders: linear layers are quantized in the format of compressed-tensors, GPTQ, AWQ \
        or MLX, and all other tensors are unchanged; MLX4 also quantizes embeddings. A folder in one of these formats keeps \
        its codes exactly when the other format can store its scales and zero points. NVFP4 and MXFP4 use the format of \
        compressed-tensors, MLX-NVFP4 and MLX-MXFP4 that of MLX, NF4 and FP4 that of bitsandbytes; --double-quant reads \
        the weights once before writing.
        """

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Number of weights that share a scale: 128, 64 or 32 (W4A16, GPTQ, AWQ, MLX4), or 256 (W4A16, GPTQ).",
            valueName: "n"))
    var groupSize: Int?

    @Flag(help: "--asymmetric stores a zero point per group (W4A16, GPTQ). Default: --symmetric, no zero point.")
    var symmetry: Symmetry?

    @Option(
        name: .long,
        help: ArgumentHelp("Number of weights that share a scale (NF4, FP4): 32 to 4096. Default: 64.", valueName: "n"))
    var blockSize: Int?

    @Flag(name: .long, help: "Also quantize the scales (NF4, FP4).")
    var doubleQuant = false

    @Option(
        name: .long,
        help: ArgumentHelp(
            "How GPTQ stores zero points: minus one (gptq) or as they are (gptq_v2).", valueName: "version"))
    var checkpointFormat: GPTQVersion?

    var isEmpty: Bool {
        groupSize == nil && symmetry == nil && blockSize == nil && !doubleQuant && checkpointFormat == nil
    }

    /// Refuses options that do not apply to the type.
    func check(for type: FolderType) throws {
        let uses: [(option: String, isSet: Bool, types: [FolderType])] = [
            ("--group-size", groupSize != nil, [.w4a16, .gptq, .awq, .mlx4]),
            ("--symmetric and --asymmetric", symmetry != nil, [.w4a16, .gptq]),
            ("--checkpoint-format", checkpointFormat != nil, [.gptq]),
            ("--block-size", blockSize != nil, [.nf4, .fp4]), ("--double-quant", doubleQuant, [.nf4, .fp4]),
        ]
        for (option, isSet, types) in uses where isSet && !types.contains(type) {
            let names = types.map(\.rawValue).joined(separator: " ")
            throw ValidationError("\(type.rawValue) does not take \(option), only \(names) do")
        }
        for (size, sizes, what) in [(groupSize, type.groupSizes, "group"), (blockSize, type.blockSizes, "block")] {
            guard let size, !sizes.contains(size) else { continue }
            let known = sizes.map(String.init).joined(separator: ", ")
            throw ValidationError("\(type.rawValue) has no \(what) size \(size)", hint: "--\(what)-size takes \(known)")
        }
    }

    var settings: FolderQuantizationSettings {
        var settings = FolderQuantizationSettings()
        settings.groupSize = groupSize
        settings.isSymmetric = symmetry.map { $0 == .symmetric }
        settings.blockSize = blockSize
        settings.isDouble = doubleQuant
        settings.isSecondVersion = checkpointFormat == .second
        return settings
    }
}

/// The versions of GPTQ's layout, as in its configuration.
enum GPTQVersion: String, ExpressibleByArgument, CaseIterable {
    case first = "gptq"
    case second = "gptq_v2"
}

/// Whether groups have a zero point.
enum Symmetry: String, EnumerableFlag {
    case symmetric, asymmetric
}

/// Quantization to a folder format.
struct FolderQuantization {
    let type: FolderType
    let options: FolderFormatOptions
    let output: OutputOptions
    let inputs: QuantizeInputs
    let common: CommonOptions

    func run(_ checkpoint: Checkpoint) throws {
        try options.check(for: type)
        guard try output.form(for: checkpoint) == .folder else {
            throw CheckpointError(
                file: output.output, "\(type.rawValue) is stored in a folder with a configuration",
                hint: "choose a folder as the output")
        }
        let folder = try Convert(to: .folder).apply(to: checkpoint)
        let plan = try QuantizeFolder(type, settings: options.settings).plan(folder, threads: common.threadCount)
        try plan.check(
            type, of: checkpoint, allowsRequantize: inputs.allowRequantize, allowsPlain: inputs.allowPlain)
        for note in plan.obstacleNotes { common.note(note) }
        let result = plan.checkpoint
        var write = WriteRun(output: output, common: common)
        write.provenance = ProvenanceRun(command: QuantizeCommand.self, model: checkpoint, isRecorded: false)
        write.extra = [
            ("type", .string(type.rawValue)),
            ("bitsPerWeight", .double((result.bitsPerWeight * 1000).rounded() / 1000)),
            ("packed", .int(plan.quantizedCount)),
        ]
        if plan.exactCount > 0 {
            // The scale of a whole weight is a factor in one form and a divisor in another.
            let parts = type == .nvfp4 || type == .mlxNVFP4 ? "codes and block scales" : "codes, scales and zero points"
            common.note("\(plan.exactCount) of \(plan.quantizedCount) weights keep their \(parts) exactly")
            write.extra.append(("exact", .int(plan.exactCount)))
        }
        if plan.roundedCount > 0 { write.extra.append(("rounded", .array(try differences(plan)))) }
        try write.write(result)
    }

    /// Prints the error of rounding already quantized weights again.
    private func differences(_ plan: FolderPlan) throws -> [JSON] {
        let differences = try plan.differences(threads: common.threadCount)
        if let worst = differences.max(by: { $0.maximum < $1.maximum }) {
            let weights = plan.roundedCount == 1 ? "1 weight is" : "\(plan.roundedCount) weights are"
            common.note(
                "\(weights) rounded again; the largest difference is \(worst.maximum.short) in \(worst.tensor) "
                    + "(root mean square \(worst.rootMeanSquare.short))")
        }
        return differences.map { difference in
            .object(
                JSONObject([
                    ("name", .string(difference.tensor)), ("maxAbs", .double(difference.maximum)),
                    ("rms", .double(difference.rootMeanSquare)),
                ]))
        }
    }
}

extension FolderType {
    /// All names, for messages.
    static var names: String { allCases.map(\.rawValue).joined(separator: " ") }
}
