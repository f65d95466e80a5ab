internal import ArgumentParser
internal import Checkpoints
internal import Formats
internal import Surgery

/// The adapters that are merged into a model.
struct AdapterOptions: ParsableArguments {
    @Option(
        name: .long, parsing: .singleValue,
        help: ArgumentHelp(
            "An adapter, and how much of it is added: a, or a=0.7 for seven tenths; a negative weight takes out an adapter "
                + "that was merged before. Repeatable.",
            valueName: "path=weight"))
    var adapter: [AdapterArgument] = []

    @Option(
        name: .long,
        help: ArgumentHelp(
            "How several adapters are combined, as in PEFT's add_weighted_adapter: cat adds up their changes, linear their "
                + "matrices, which need the same rank.",
            valueName: "kind"))
    var combination = CombinationArgument.cat

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Round the base to this type first, as a QLoRA training did.", valueName: "type"))
    var baseRounding: BaseRounding?

    @Option(
        name: .long, parsing: .singleValue,
        help: ArgumentHelp(
            "Layers that were cut from the model after the adapters were trained, such as 21:29: they are dropped from the "
                + "adapters, and later layers renumbered. Repeatable.",
            valueName: "list"))
    var adapterDropped: [LayerList] = []

    @Option(
        name: .long,
        help: ArgumentHelp(
            "With --adapter-dropped, whether the adapters number layers as in the original or as in the cut model. Default: "
                + "found out from the layers that each adapter names; if both are possible, an error.",
            valueName: "kind"))
    var adapterNumbering: NumberingArgument?

    func validate() throws {
        let isUsed = baseRounding != nil || adapterNumbering != nil || !adapterDropped.isEmpty || combination != .cat
        if adapter.isEmpty, isUsed {
            throw ValidationError(
                "--base-rounding, --combination, --adapter-numbering and --adapter-dropped go with an --adapter")
        }
        if adapterNumbering == .original, adapterDropped.isEmpty {
            throw ValidationError("--adapter-numbering original needs the layers that were cut: --adapter-dropped LIST")
        }
    }

    /// The adapters as files that were read.
    var files: [(option: String, path: String)] { adapter.map { ("adapter", $0.resolved.path) } }

    /// The merge that is asked for, with its adapters opened.
    func merge(into base: Checkpoint, threads: Int) throws(CheckpointError) -> MergeAdapters {
        let dropped = try adapterDropped.union(file: base.path)
        let numbering =
            dropped.isEmpty
            ? nil : AdapterNumbering(dropped: dropped, left: base.layerCount, kind: adapterNumbering?.kind)
        let opened = try adapter.map { (argument) throws(CheckpointError) in
            let (path, weight) = argument.resolved
            return MergeAdapters.Weighted(try Adapter(path: path, numbering: numbering), weight: weight)
        }
        return MergeAdapters(opened, combination: combination == .cat ? .cat : .linear, threads: threads)
    }

    /// A model with the adapters added, where there are any.
    func merged(_ base: Checkpoint, threads: Int) throws(CheckpointError) -> Checkpoint {
        let base = try rounding(base)
        return adapter.isEmpty ? base : try merge(into: base, threads: threads).apply(to: base)
    }

    /// The base that the adapters were trained on.
    func rounding(_ base: Checkpoint) throws(CheckpointError) -> Checkpoint {
        guard let baseRounding else { return base }
        var settings = FolderQuantizationSettings()
        settings.allowsRequantize = true
        settings.isDouble = baseRounding == .nf4Double || baseRounding == .fp4Double
        let type: FolderType = baseRounding == .nf4 || baseRounding == .nf4Double ? .nf4 : .fp4
        return try DequantizeFolder().apply(to: QuantizeFolder(type, settings: settings).apply(to: base))
    }
}

/// A way to add up adapters, by the name that the command line takes.
enum CombinationArgument: String, ExpressibleByArgument, CaseIterable {
    case cat, linear
}

/// The model that an adapter takes its layer numbers from.
enum NumberingArgument: String, ExpressibleByArgument, CaseIterable {
    case original, cut

    var kind: AdapterNumbering.Kind { self == .original ? .original : .cut }
}

/// What a training rounded the base to.
enum BaseRounding: String, ExpressibleByArgument, CaseIterable {
    case nf4, fp4
    case nf4Double = "nf4-double"
    case fp4Double = "fp4-double"
}

/// `PATH` or `PATH=WEIGHT`.
struct AdapterArgument: ExpressibleByArgument {
    static var defaultCompletionKind: CompletionKind { .file() }

    let text: String

    init?(argument: String) {
        guard !argument.isEmpty else { return nil }
        text = argument
    }

    /// The path and the weight. A path that exists is taken whole, whatever it holds.
    var resolved: (path: String, weight: Double) {
        guard FileSystem.kind(of: text) == .missing, let sign = text.lastIndex(of: "="),
            let weight = Double(text[text.index(after: sign)...]), weight.isFinite
        else { return (text, 1) }
        return (String(text[..<sign]), weight)
    }
}

extension MergeReport {
    /// What a user has to see.
    var warnings: [String] {
        let lost = modules.filter { $0.surviving < 0.5 }
        guard let worst = lost.min(by: { $0.surviving < $1.surviving }) else { return [] }
        return [
            "\(lost.count) of \(counted(modules.count, "changed weight")) keep less than half of their change after rounding; "
                + "the least is \((100 * worst.surviving).fixed(0)) % in \(worst.tensor); --dtype f32 keeps all"
        ]
    }

    /// Prints a line for each changed weight.
    func print() {
        var table = Table(["tensor", "rank", "scale", "norm", "left"])
        for module in modules {
            table.add([
                module.tensor.escapingControls, "\(module.rank)",
                module.scales.map { Double($0).short }.joined(separator: " + "), module.norm.short,
                "\((100 * module.surviving).fixed(1))%",
            ])
        }
        table.print()
    }
}

extension MergeReport.Module {
    /// What the JSON answer says of it.
    var json: JSON {
        .object(
            JSONObject([
                ("tensor", .string(tensor)), ("module", .string(module)), ("rank", .int(rank)),
                ("scale", .double(Double(scales.first ?? 0))), ("scales", .array(scales.map { .double(Double($0)) })),
                ("norm", .double(norm)), ("surviving", .double(surviving)),
            ]))
    }
}
