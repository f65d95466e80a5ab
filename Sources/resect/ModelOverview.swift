internal import Checkpoints
internal import Formats
internal import Healing
internal import Surgery

/// What `inspect` says of a checkpoint, as text and as JSON.
struct ModelOverview {
    let checkpoint: Checkpoint
    let facts: ModelFacts
    let sums: TensorSums
    let abilities: ModelAbilities
    /// The numbering of the layers, or why it is unknown.
    let layers: Result<LayerPattern?, CheckpointError>

    /// The abilities that are always shown; --explain shows all.
    static let common: [ModelAbilities.Ability] = [.run, .gguf, .folder, .heal, .train, .tokenize]
    /// Kinds of tensors that are listed as text.
    private static let mostKinds = 16

    init(_ checkpoint: Checkpoint, explains: Bool) {
        self.checkpoint = checkpoint
        layers = Result { () throws(CheckpointError) in try checkpoint.layers() }
        // The error is shown in place of the number of layers.
        sums = TensorSums(checkpoint.tensors, layers: (try? layers.get()) ?? nil)
        facts = ModelFacts(checkpoint)
        let asked = explains ? ModelAbilities.Ability.allCases : ModelOverview.common
        abilities = ModelAbilities(checkpoint, checkpoint.content == .model ? asked : [])
    }

    /// The name of the container; a single PyTorch file is handled like safetensors but has its own name.
    var format: String {
        checkpoint.isPyTorch && checkpoint.form == .safetensors ? "pytorch" : checkpoint.form.rawValue
    }

    // MARK: text

    /// The lines of the summary.
    func lines(entries: Int) -> [String] {
        let parameters = checkpoint.modelParameterCount
        var rows = [
            ("format", "\(format), \(counted(checkpoint.sources.count, "file"))"),
            ("architecture", (checkpoint.architectureName ?? "not stated") + remark),
        ]
        func add(_ name: String, _ text: String?) { if let text { rows.append((name, text)) } }
        add("license", facts.licence)
        add("context", facts.context.map { "\($0.grouped) tokens\(windowText)" })
        add("hidden size", facts.hidden.map { "\($0.grouped)\(text(facts.feedForward).map { ", MLP \($0)" } ?? "")" })
        add("heads", headText)
        add(
            "experts",
            text(facts.experts).map { "\($0)\(text(facts.expertsUsed).map { ", \($0) for each token" } ?? "")" })
        add("vocabulary", facts.vocabulary.map { "\($0.grouped) tokens\(tiedText)" })
        add("layers", layerText)
        add("parameters", "\(parameters.countText) in \(counted(checkpoint.tensors.count, "tensor"))")
        add(
            "bytes",
            "\(checkpoint.byteCount.byteText), \(checkpoint.bitsPerWeight(of: parameters).fixed(2)) bits per weight")
        add("metadata", counted(entries, "entry", "entries"))
        rows += abilityRows
        return rows.map { name, text in "\(name.padded(14))\(text)".escapingControls }
    }

    /// What the checkpoint is, unless it is a model.
    private var remark: String { checkpoint.content == .model ? "" : " (\(checkpoint.content.name))" }

    private var windowText: String { text(facts.windows).map { ", sliding window \($0)" } ?? "" }

    private var headText: String? {
        guard let heads = text(facts.heads) else { return nil }
        let keys = text(facts.keyHeads).map { ", key and value \($0)" } ?? ""
        return "query \(heads)\(keys)\(text(facts.headSize).map { ", size \($0)" } ?? "")"
    }

    private var tiedText: String {
        facts.isTied.map { $0 ? ", the embedding is also the output matrix" : ", separate output matrix" } ?? ""
    }

    /// The number of layers with what each takes; or why it is unknown.
    private var layerText: String {
        do throws(CheckpointError) {
            guard let pattern = try layers.get() else { return "0" }
            let extra = pattern.predictorCount > 0 ? ", and \(pattern.predictorCount) for multi-token prediction" : ""
            guard let least = sums.layerByteCounts.min(), let most = sums.layerByteCounts.max(), most > 0 else {
                return "\(pattern.decoderCount)\(extra)"
            }
            func share(_ bytes: Int) -> String {
                (100 * Double(bytes) / Double(max(1, checkpoint.byteCount))).fixed(1) + "%"
            }
            let each =
                least == most
                ? "\(most.byteText) each (\(share(most)) of all)"
                : "\(least.byteText) to \(most.byteText) (\(share(least)) to \(share(most)) of all)"
            return "\(pattern.decoderCount)\(extra), \(each)"
        } catch { return error.problem }
    }

    /// What can be done, and what cannot with the reason; abilities with the same reason share a line.
    private var abilityRows: [(String, String)] {
        guard !abilities.refusals.isEmpty else { return [] }
        var rows: [(String, String)] = []
        let possible = abilities.possible.filter { $0 != ownForm }
        if !possible.isEmpty { rows.append(("can be", possible.map(\.words).joined(separator: ", "))) }
        var reasons: [(reason: String, abilities: [String])] = []
        for case (let ability, let reason?) in abilities.refusals {
            if let index = reasons.firstIndex(where: { $0.reason == reason.withoutFile }) {
                reasons[index].abilities.append(ability.words)
            } else {
                reasons.append((reason.withoutFile, [ability.words]))
            }
        }
        for (reason, abilities) in reasons {
            rows.append(("cannot be", "\(abilities.joined(separator: ", ")): \(reason)"))
        }
        return rows
    }

    /// The ability to be what it is already.
    private var ownForm: ModelAbilities.Ability? {
        switch checkpoint.form {
        case .gguf: .gguf
        case .folder: .folder
        case .safetensors: nil
        }
    }

    private func text(_ values: [Int]) -> String? {
        guard let first = values.first, let last = values.last else { return nil }
        return first == last ? first.grouped : "\(first.grouped) to \(last.grouped)"
    }

    /// The types with their bytes.
    var types: Table {
        var table = Table(["type", "tensors", "bytes"])
        for (dtype, count, bytes) in sums.types { table.add([dtype.name, count.grouped, bytes.grouped]) }
        return table
    }

    /// The kinds of tensors, the largest first.
    var kinds: Table {
        var table = Table(["tensors", "count", "bytes", "share"])
        let sorted = sums.kinds.enumerated()
            .sorted { ($1.element.byteCount, $0.offset) < ($0.element.byteCount, $1.offset) }.map(\.element)
        func share(_ bytes: Int) -> String {
            (100 * Double(bytes) / Double(max(1, checkpoint.byteCount))).fixed(1) + "%"
        }
        for kind in sorted.prefix(ModelOverview.mostKinds) {
            table.add([kind.name.escapingControls, kind.count.grouped, kind.byteCount.grouped, share(kind.byteCount)])
        }
        let rest = sorted.dropFirst(ModelOverview.mostKinds)
        if !rest.isEmpty {
            let bytes = rest.reduce(0) { $0 + $1.byteCount }
            table.add([
                "\(rest.count) other kinds", rest.reduce(0) { $0 + $1.count }.grouped, bytes.grouped, share(bytes),
            ])
        }
        return table
    }

    // MARK: JSON

    /// The members between the metadata and the list of tensors.
    var json: [(String, JSON)] {
        func number(_ value: Int?) -> JSON { value.map(JSON.int) ?? .null }
        func numbers(_ values: [Int]) -> JSON {
            values.count > 1 ? .array(values.map(JSON.int)) : number(values.first)
        }
        let model = JSONObject([
            ("license", facts.licence.map(JSON.string) ?? .null), ("context", number(facts.context)),
            ("slidingWindow", numbers(facts.windows)), ("hiddenSize", number(facts.hidden)),
            ("feedForwardSize", numbers(facts.feedForward)), ("heads", numbers(facts.heads)),
            ("keyValueHeads", numbers(facts.keyHeads)), ("headSize", numbers(facts.headSize)),
            ("experts", numbers(facts.experts)), ("expertsUsed", numbers(facts.expertsUsed)),
            ("vocabulary", number(facts.vocabulary)), ("tiedOutput", facts.isTied.map(JSON.bool) ?? .null),
        ])
        return [
            ("model", .object(model)), ("layerByteCounts", .array(sums.layerByteCounts.map(JSON.int))),
            (
                "kinds",
                .array(
                    sums.kinds.map { kind in
                        .object(
                            JSONObject([
                                ("name", .string(kind.name)), ("tensors", .int(kind.count)),
                                ("elements", .int(kind.elementCount)), ("byteCount", .int(kind.byteCount)),
                            ]))
                    })
            ), ("abilities", .object(JSONObject(abilities.refusals.map { ($0.ability.rawValue, $0.reason.json) }))),
        ]
    }
}

extension ModelAbilities.Ability {
    /// What can be done, in words.
    var words: String {
        switch self {
        case .run: "run"
        case .gguf: "converted to GGUF"
        case .folder: "converted to a folder"
        case .heal: "healed in closed form"
        case .train: "trained"
        case .tokenize: "used as a tokenizer"
        case .cut: "cut"
        case .quantize: "quantized"
        }
    }
}

extension CheckpointError {
    /// The problem with the tensor, without the file.
    var withoutFile: String {
        var error = self
        error.file = nil
        return error.description
    }
}

extension CheckpointError? {
    /// An ability as JSON: whether it is there, and why not.
    var json: JSON {
        .object(
            JSONObject([("possible", .bool(self == nil)), ("reason", (self?.withoutFile).map(JSON.string) ?? .null)]))
    }
}
