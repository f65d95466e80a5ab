internal import ArgumentParser
internal import Checkpoints
internal import Formats
internal import Surgery

/// What can be chosen of the forms that are written to folders.
struct PackedOptions: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp("Weights that share a scale, for the types of folders: 128, 64 or 32.", valueName: "n"))
    var groupSize: Int?

    @Flag(help: "Whether groups have an offset of their own, for W4A16; they have none by default.")
    var symmetry: Symmetry?

    @Option(
        name: .long,
        help: ArgumentHelp("Weights that share a scale, for NF4 and FP4: 64, or 32 to 4096.", valueName: "n"))
    var blockSize: Int?

    @Flag(name: .long, help: "Quantize the scales too, for NF4 and FP4.")
    var doubleQuant = false

    var isEmpty: Bool { groupSize == nil && symmetry == nil && blockSize == nil && !doubleQuant }

    var settings: PackSettings {
        var settings = PackSettings()
        settings.groupSize = groupSize
        settings.isSymmetric = symmetry.map { $0 == .symmetric }
        settings.blockSize = blockSize
        settings.isDouble = doubleQuant
        return settings
    }
}

/// Whether codes are about zero, or about an offset that each group has.
enum Symmetry: String, EnumerableFlag {
    case symmetric, asymmetric
}

/// Quantization to a form of folders: packed parts in place of plain weights.
struct PackedQuantization {
    let type: PackedType
    let options: PackedOptions
    let output: OutputOptions
    let common: CommonOptions

    func run(_ checkpoint: Checkpoint) throws {
        guard output.form(for: checkpoint) == .folder else {
            throw CheckpointError(
                file: output.output, "\(type.rawValue) is stored in a folder with a configuration",
                hint: "name a folder as the output")
        }
        let folder = try Convert(to: .folder).apply(to: checkpoint)
        let plan = try PackWeights(type, settings: options.settings).plan(folder)
        for (reason, tensors) in plan.obstacles.groupedByReason {
            let which = tensors.count == 1 ? tensors[0] : "\(tensors.count) tensors (\(tensors[0]), …)"
            common.note("\(which): stays plain, \(reason)")
        }
        let result = plan.checkpoint
        let parameters = checkpoint.form == .folder ? folder.parameterCount : checkpoint.parameterCount
        let bits = Double(result.byteCount) * 8 / Double(max(1, parameters))
        var write = WriteRun(output: output, common: common)
        write.extra = [
            ("type", .string(type.rawValue)), ("bitsPerWeight", .double((bits * 1000).rounded() / 1000)),
            ("packed", .int(plan.packedCount)),
        ]
        try write.write(result)
    }
}

extension [(tensor: String, reason: String)] {
    /// The tensors of each reason, in order.
    fileprivate var groupedByReason: [(reason: String, tensors: [String])] {
        var groups: [(reason: String, tensors: [String])] = []
        for (tensor, reason) in self {
            if let place = groups.firstIndex(where: { $0.reason == reason }) {
                groups[place].tensors.append(tensor)
            } else {
                groups.append((reason, [tensor]))
            }
        }
        return groups
    }
}

extension PackedType {
    /// The names of all, for messages.
    static var names: String { allCases.map(\.rawValue).joined(separator: " ") }
}
