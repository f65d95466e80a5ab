internal import ArgumentParser
internal import Checkpoints
internal import Formats
internal import Surgery

/// What can be chosen of the forms that are written to folders.
struct FolderFormatOptions: ParsableArguments {
    /// What the command says of these types.
    static let discussion = """
        W4A16, GPTQ, AWQ and MLX4 are for folders: the weights of the Linears are packed as compressed-tensors, GPTQ, AWQ \
        and MLX have them, and everything else stays; for MLX, embeddings are packed too. A folder in one of these forms \
        is repacked exactly where the other one can hold its scales and offsets. NVFP4 and MXFP4 are packed as \
        compressed-tensors reads them too, MLX-NVFP4 and MLX-MXFP4 as MLX does, NF4 and FP4 as bitsandbytes does; with \
        --double-quant the weights are read before anything is written.
        """

    @Option(
        name: .long,
        help: ArgumentHelp("Weights that share a scale, for W4A16, GPTQ, AWQ, MLX4: 128, 64, 32.", valueName: "n"))
    var groupSize: Int?

    @Flag(help: "Whether groups have an offset of their own, for W4A16 and GPTQ; they have none by default.")
    var symmetry: Symmetry?

    @Option(
        name: .long,
        help: ArgumentHelp("Weights that share a scale, for NF4 and FP4: 64, or 32 to 4096.", valueName: "n"))
    var blockSize: Int?

    @Flag(name: .long, help: "Quantize the scales too, for NF4 and FP4.")
    var doubleQuant = false

    @Option(name: .long, help: ArgumentHelp("How GPTQ's offsets are stored.", valueName: "version"))
    var checkpointFormat: GPTQVersion?

    var isEmpty: Bool {
        groupSize == nil && symmetry == nil && blockSize == nil && !doubleQuant && checkpointFormat == nil
    }

    /// Refuses what the type has no use for.
    func check(for type: FolderType) throws {
        let uses: [(option: String, isSet: Bool, types: [FolderType])] = [
            ("--group-size", groupSize != nil, [.w4a16, .gptq, .awq, .mlx4]),
            ("--symmetric and --asymmetric", symmetry != nil, [.w4a16, .gptq]),
            ("--checkpoint-format", checkpointFormat != nil, [.gptq]),
            ("--block-size", blockSize != nil, [.nf4, .fp4]), ("--double-quant", doubleQuant, [.nf4, .fp4]),
        ]
        for (option, isSet, types) in uses where isSet && !types.contains(type) {
            let names = types.map(\.rawValue).joined(separator: " ")
            throw ValidationError("\(option) cannot be chosen for \(type.rawValue), only for \(names)")
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

/// The versions of GPTQ's layout, as its configuration names them.
enum GPTQVersion: String, ExpressibleByArgument, CaseIterable {
    case first = "gptq"
    case second = "gptq_v2"
}

/// Whether codes are about zero, or about an offset that each group has.
enum Symmetry: String, EnumerableFlag {
    case symmetric, asymmetric
}

/// Quantization to a form of folders: packed parts in place of plain weights.
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
                hint: "name a folder as the output")
        }
        let folder = try Convert(to: .folder).apply(to: checkpoint)
        let plan = try QuantizeFolder(type, settings: options.settings).plan(folder, threads: common.threadCount)
        try plan.check(type, of: checkpoint, inputs)
        common.noteObstacles(plan)
        let result = plan.checkpoint
        var write = WriteRun(output: output, common: common)
        write.extra = [
            ("type", .string(type.rawValue)),
            ("bitsPerWeight", .double((result.bitsPerWeight * 1000).rounded() / 1000)),
            ("packed", .int(plan.quantizedCount)),
        ]
        if plan.exactCount > 0 {
            common.note(
                "\(plan.exactCount) of \(plan.quantizedCount) weights are repacked exactly: codes, scales and offsets")
            write.extra.append(("exact", .int(plan.exactCount)))
        }
        if plan.roundedCount > 0 { write.extra.append(("rounded", .array(try differences(plan)))) }
        try write.write(result)
    }

    /// Says what it costs to round weights that were packed before.
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

extension FolderPlan {
    /// Refuses what would be rounded a second time, and a model of which much would stay plain, unless that is allowed.
    func check(_ type: FolderType, of checkpoint: Checkpoint, _ inputs: QuantizeInputs) throws(CheckpointError) {
        if !inputs.allowRequantize, let first = firstRounded {
            throw CheckpointError(
                file: checkpoint.path, tensor: first,
                "is quantized already, and \(type.rawValue) cannot hold its scales and offsets: it would be rounded again",
                hint: "quantize the original, or say --allow-requantize")
        }
        guard !inputs.allowPlain, plainShare > FolderPlan.largestPlainShare, let first = obstacles.first else { return }
        throw CheckpointError(
            file: checkpoint.path,
            "\(obstacles.count) of \(obstacles.count + quantizedCount) weights would stay plain, "
                + "\((100 * plainShare).fixed(0)) % of the elements that \(type.rawValue) packs; "
                + "\(first.tensor): \(first.reason)",
            hint: "--allow-plain writes such a model")
    }

    /// Above this share of plain weights a user has to agree.
    private static let largestPlainShare = 0.1
}

extension CommonOptions {
    /// Names the weights that cannot be packed.
    func noteObstacles(_ plan: FolderPlan) {
        for (reason, tensors) in plan.obstacles.groupedByReason {
            let which = tensors.count == 1 ? tensors[0] : "\(tensors.count) tensors (\(tensors[0]), …)"
            note("\(which): stays plain, \(reason)")
        }
    }
}

extension [(tensor: String, reason: String)] {
    /// The tensors of each reason, in order.
    fileprivate var groupedByReason: [(reason: String, tensors: [String])] {
        var groups: [(reason: String, tensors: [String])] = []
        for (tensor, reason) in self {
            if let index = groups.firstIndex(where: { $0.reason == reason }) {
                groups[index].tensors.append(tensor)
            } else {
                groups.append((reason, [tensor]))
            }
        }
        return groups
    }
}

extension FolderType {
    /// The names of all, for messages.
    static var names: String { allCases.map(\.rawValue).joined(separator: " ") }
}
